// SPDX-License-Identifier: Apache-2.0
/*
 * The module's generic netlink family as a process in the guest sees it:
 *
 *   upcall-events listen [COUNT]    print COUNT events, or all; "listening" comes first
 *   upcall-events list              print what is plugged, by the dump command
 *   upcall-events send COMMAND      send a command with no more to it
 *   upcall-events fuzz SEED COUNT   send random messages to the family
 *
 * One line each. The exit status is 1, with the error's name, when the kernel refuses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "upcall_netlink.h"
#include "upcall_wire.h"

static const char *const classes[] = {
	[UPCALL_CLASS_CPU] = "cpu",	  [UPCALL_CLASS_MMIO] = "mmio",
	[UPCALL_CLASS_PCI] = "pci",	  [UPCALL_CLASS_MEM] = "mem",
	[UPCALL_CLASS_VIOMMU] = "viommu", [UPCALL_CLASS_VIOMMU_RANGE] = "viommu-range",
};

static int family;
static int last_error; /* that the kernel sent, negative */

static void die(const char *what, const char *why)
{
	fprintf(stderr, "upcall-events: %s: %s\n", what, why);
	exit(1);
}

/* The same words in the same order as `upcall-client list` has them. */
static void print_entries(const char *begin, struct nlattr *attr, const char *end)
{
	const struct upcall_list_entry *entry = nla_data(attr);
	int left = nla_len(attr);
	size_t i;

	for (; left >= (int)sizeof(*entry); left -= (int)sizeof(*entry), entry++) {
		if (entry->class_number >= sizeof(classes) / sizeof(classes[0]) ||
		    !classes[entry->class_number])
			die("an entry", "of no class");
		printf("%sclass=%s key=%#" PRIx64 " type=%#x request=%" PRIu64
		       " boot_ns=%" PRIu64 " bytes=",
		       begin, classes[entry->class_number], (uint64_t)entry->key,
		       entry->type, (uint64_t)entry->request, (uint64_t)entry->boot_ns);
		for (i = 0; i < sizeof(entry->bytes); i++)
			printf("%02x", entry->bytes[i]);
		printf("%s", end);
	}
	if (left)
		die("an entry", "cut");
}

static void print_nest(const char *name, struct nlattr *nest)
{
	struct nlattr *attr;
	int left;

	if (!nest)
		return;
	printf(" %s=[", name);
	left = nla_len(nest);
	for (attr = nla_data(nest); nla_ok(attr, left); attr = nla_next(attr, &left))
		print_entries("{", attr, "}");
	printf("]");
}

static int print_event(struct nlattr **attrs)
{
	static const int always[] = {
		UPCALL_GENL_ATTR_REQUEST,   UPCALL_GENL_ATTR_TYPE,
		UPCALL_GENL_ATTR_TYPE_NAME, UPCALL_GENL_ATTR_RET,
		UPCALL_GENL_ATTR_KERNEL_NS, UPCALL_GENL_ATTR_TOTAL_NS,
	};
	size_t i;

	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		if (!attrs[always[i]])
			die("an event", "lacks an attribute");
	}
	printf("request=%" PRIu64 " type=%#x name=%s ret=%d kernel_ns=%" PRIu64
	       " total_ns=%" PRIu64,
	       nla_get_u64(attrs[UPCALL_GENL_ATTR_REQUEST]),
	       nla_get_u32(attrs[UPCALL_GENL_ATTR_TYPE]),
	       nla_get_string(attrs[UPCALL_GENL_ATTR_TYPE_NAME]),
	       nla_get_s32(attrs[UPCALL_GENL_ATTR_RET]),
	       nla_get_u64(attrs[UPCALL_GENL_ATTR_KERNEL_NS]),
	       nla_get_u64(attrs[UPCALL_GENL_ATTR_TOTAL_NS]));
	if (attrs[UPCALL_GENL_ATTR_REASON])
		printf(" reason=\"%s\"",
		       nla_get_string(attrs[UPCALL_GENL_ATTR_REASON]));
	print_nest("plugged", attrs[UPCALL_GENL_ATTR_PLUGGED]);
	print_nest("unplugged", attrs[UPCALL_GENL_ATTR_UNPLUGGED]);
	printf("%s\n", attrs[UPCALL_GENL_ATTR_CUT] ? " cut" : "");
	fflush(stdout);
	return 0;
}

/* *arg: how many messages are still wanted. */
static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct nlattr *attrs[UPCALL_GENL_ATTR_MAX + 1];
	long *wanted = arg;

	if (header->nlmsg_type != family)
		return NL_SKIP;
	if (genlmsg_parse(header, 0, attrs, UPCALL_GENL_ATTR_MAX, NULL))
		die("a message", "cannot be read");
	if (genlmsg_hdr(header)->cmd == UPCALL_GENL_CMD_EVENT)
		print_event(attrs);
	else if (attrs[UPCALL_GENL_ATTR_THING])
		print_entries("", attrs[UPCALL_GENL_ATTR_THING], "\n");
	if (header->nlmsg_flags & NLM_F_DUMP_INTR)
		puts("interrupted");
	(*wanted)--;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *address, struct nlmsgerr *error, void *arg)
{
	long *wanted = arg;

	(void)address;
	last_error = error->error;
	*wanted = 0;
	return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	long *wanted = arg;

	(void)msg;
	*wanted = 0;
	return NL_STOP;
}

/* Events have no sequence, and what random messages get back is nobody's answer. */
static int accept_any(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

/* Reads answers until none is wanted any more. */
static void receive(struct nl_sock *sock, long wanted)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, &wanted);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &wanted);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &wanted);
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, accept_any, NULL);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &wanted);
	while (wanted) {
		ret = nl_recvmsgs(sock, cb);
		if (ret < 0 && !last_error)
			die("receive", nl_geterror(ret));
	}
	nl_cb_put(cb);
}

static int ask(struct nl_sock *sock, int flags, uint8_t command)
{
	int ret = genl_send_simple(sock, family, command, UPCALL_GENL_VERSION, flags);

	if (ret < 0)
		die("send", nl_geterror(ret));
	receive(sock, -1);
	if (!last_error)
		return 0;
	printf("error=%d %s\n", -last_error, strerror(-last_error));
	return 1;
}

static int listen_to(struct nl_sock *sock, long count)
{
	int group = genl_ctrl_resolve_grp(sock, UPCALL_GENL_NAME, UPCALL_GENL_EVENTS);
	int ret;

	if (group < 0)
		die("group " UPCALL_GENL_EVENTS, nl_geterror(group));
	ret = nl_socket_add_membership(sock, group);
	if (ret)
		die("listen", nl_geterror(ret));
	puts("listening");
	fflush(stdout);
	receive(sock, count);
	return 0;
}

/* What comes back, if anything, is thrown away; the kernel must live. */
static int fuzz(struct nl_sock *sock, unsigned int seed, long count)
{
	uint8_t body[256];
	struct nl_msg *msg;
	size_t len, i;

	srand(seed);
	nl_socket_disable_auto_ack(sock);
	nl_socket_set_nonblocking(sock);
	while (count-- > 0) {
		msg = nlmsg_alloc();
		if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0,
				 rand() % 2 ? 0 : rand() & 0xffff,
				 (uint8_t)(rand() % 4 ? rand() % 4 : rand()),
				 (uint8_t)(rand() % 2)))
			die("message", "no memory");
		len = (size_t)rand() % sizeof(body);
		for (i = 0; i < len; i++)
			body[i] = (uint8_t)rand();
		/* Half of them attributes by their head, the rest bytes. */
		if (rand() % 2)
			nla_put(msg, rand() % 16, (int)len, body);
		else
			nlmsg_append(msg, body, len, 0);
		nl_send_auto(sock, msg);
		nlmsg_free(msg);
		while (recv(nl_socket_get_fd(sock), body, sizeof(body), 0) > 0)
			;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct nl_sock *sock = nl_socket_alloc();
	int ret = 2;

	if (!sock || genl_connect(sock))
		die("genetlink", "cannot connect");
	family = genl_ctrl_resolve(sock, UPCALL_GENL_NAME);
	if (family < 0)
		die("family " UPCALL_GENL_NAME, nl_geterror(family));
	if (strcmp(verb, "listen") == 0)
		ret = listen_to(sock, argc > 2 ? atol(argv[2]) : -1);
	else if (strcmp(verb, "list") == 0)
		ret = ask(sock, NLM_F_DUMP, UPCALL_GENL_CMD_LIST);
	else if (strcmp(verb, "send") == 0 && argc == 3)
		ret = ask(sock, NLM_F_ACK, (uint8_t)atoi(argv[2]));
	else if (strcmp(verb, "fuzz") == 0 && argc == 4)
		ret = fuzz(sock, (unsigned int)strtoul(argv[2], NULL, 0),
			   atol(argv[3]));
	nl_socket_free(sock);
	return ret;
}
