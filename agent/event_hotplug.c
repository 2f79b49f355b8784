// SPDX-License-Identifier: Apache-2.0
#include "event_hotplug.h"

#include <endian.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "events.h"
#include "log.h"
#include "netlink.h"
#include "upcall_class.h"
#include "upcall_netlink.h"
#include "upcall_wire.h"

#define THINGS_MAX 512 /* in an event; further ones are left out */
#define TEXT_MAX   160

static struct nla_policy event_policy[UPCALL_GENL_ATTR_MAX + 1] = {
	[UPCALL_GENL_ATTR_REQUEST] = {.type = NLA_U64},
	[UPCALL_GENL_ATTR_TYPE] = {.type = NLA_U32},
	[UPCALL_GENL_ATTR_TYPE_NAME] = {.type = NLA_STRING, .maxlen = 64},
	[UPCALL_GENL_ATTR_RET] = {.type = NLA_U32},
	[UPCALL_GENL_ATTR_REASON] = {.type = NLA_STRING, .maxlen = 256},
	[UPCALL_GENL_ATTR_KERNEL_NS] = {.type = NLA_U64},
	[UPCALL_GENL_ATTR_TOTAL_NS] = {.type = NLA_U64},
	[UPCALL_GENL_ATTR_PLUGGED] = {.type = NLA_NESTED},
	[UPCALL_GENL_ATTR_UNPLUGGED] = {.type = NLA_NESTED},
};

struct things {
	Vmctl__Agent__V1__HotplugThing messages[THINGS_MAX];
	Vmctl__Agent__V1__HotplugThing *list[THINGS_MAX];
	size_t n;
};

/* An attribute has the thing first, then what belongs to it. */
static void take_things(struct nlattr *nest, struct things *things)
{
	struct upcall_list_entry entry;
	struct nlattr *attr;
	int left;

	if (!nest)
		return;
	nla_for_each_nested(attr, nest, left)
	{
		Vmctl__Agent__V1__HotplugThing *m;

		if (nla_type(attr) != UPCALL_GENL_ATTR_THING ||
		    nla_len(attr) < (int)sizeof(entry) || things->n == THINGS_MAX)
			continue;
		memcpy(&entry, nla_data(attr), sizeof(entry));
		m = &things->messages[things->n];
		vmctl__agent__v1__hotplug_thing__init(m);
		m->class_ = (char *)upcall_class_name(le32toh(entry.class_number));
		m->key = le64toh(entry.key);
		things->list[things->n++] = m;
	}
}

static uint64_t get_u64(struct nlattr *attr)
{
	return attr ? nla_get_u64(attr) : 0;
}

static char *get_text(struct nlattr *attr, char text[TEXT_MAX])
{
	text[0] = '\0';
	if (attr)
		agent_log_printable(nla_get_string(attr), text, TEXT_MAX);
	return text;
}

static void publish(struct event_hotplug *hotplug, struct nlattr **attrs)
{
	Vmctl__Agent__V1__HotplugEvent body = VMCTL__AGENT__V1__HOTPLUG_EVENT__INIT;
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	struct things *plugged = calloc(1, sizeof(*plugged));
	struct things *unplugged = calloc(1, sizeof(*unplugged));
	char name[TEXT_MAX], reason[TEXT_MAX];

	body.request = get_u64(attrs[UPCALL_GENL_ATTR_REQUEST]);
	if (attrs[UPCALL_GENL_ATTR_TYPE])
		body.type = nla_get_u32(attrs[UPCALL_GENL_ATTR_TYPE]);
	if (attrs[UPCALL_GENL_ATTR_RET])
		body.ret = (int32_t)nla_get_u32(attrs[UPCALL_GENL_ATTR_RET]);
	body.type_name = get_text(attrs[UPCALL_GENL_ATTR_TYPE_NAME], name);
	body.reason = get_text(attrs[UPCALL_GENL_ATTR_REASON], reason);
	body.kernel_nano = get_u64(attrs[UPCALL_GENL_ATTR_KERNEL_NS]);
	body.total_nano = get_u64(attrs[UPCALL_GENL_ATTR_TOTAL_NS]);
	if (plugged && unplugged) {
		take_things(attrs[UPCALL_GENL_ATTR_PLUGGED], plugged);
		take_things(attrs[UPCALL_GENL_ATTR_UNPLUGGED], unplugged);
		body.plugged = plugged->list;
		body.n_plugged = plugged->n;
		body.unplugged = unplugged->list;
		body.n_unplugged = unplugged->n;
	}
	event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_HOTPLUG;
	event.hotplug = &body;
	agent_events_publish(hotplug->events, &event);
	free(plugged);
	free(unplugged);
}

static void publish_module(struct event_hotplug *hotplug, const char *text)
{
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;

	event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_MODULE;
	event.text = (char *)text;
	agent_events_publish(hotplug->events, &event);
}

/* The number of the module's group in a message about its family; 0: none. */
static uint32_t group_of(struct nlattr *groups)
{
	struct nlattr *group;
	int left;

	if (!groups)
		return 0;
	nla_for_each_nested(group, groups, left)
	{
		struct nlattr *attrs[CTRL_ATTR_MCAST_GRP_MAX + 1];
		struct nlattr *name, *id;

		if (nla_parse_nested(attrs, CTRL_ATTR_MCAST_GRP_MAX, group, NULL) < 0)
			continue;
		name = attrs[CTRL_ATTR_MCAST_GRP_NAME];
		id = attrs[CTRL_ATTR_MCAST_GRP_ID];
		if (name && id && nla_len(id) >= (int)sizeof(uint32_t) &&
		    !nla_strcmp(name, UPCALL_GENL_EVENTS))
			return nla_get_u32(id);
	}
	return 0;
}

static void join(struct event_hotplug *hotplug, int group)
{
	int ret = nl_socket_add_membership(hotplug->sk, group);

	if (ret < 0)
		agent_log(AGENT_LOG_WARNING,
			  "the upcall module's events cannot be had: %s",
			  nl_geterror(ret));
}

/* A family of generic netlink has come or gone, or is there, as a dump says. */
static void take_control(struct event_hotplug *hotplug, struct nlmsghdr *header)
{
	struct nlattr *attrs[CTRL_ATTR_MAX + 1];
	uint32_t group;
	uint8_t cmd;

	if (genlmsg_parse(header, 0, attrs, CTRL_ATTR_MAX, NULL) < 0 ||
	    !attrs[CTRL_ATTR_FAMILY_NAME] ||
	    nla_strcmp(attrs[CTRL_ATTR_FAMILY_NAME], UPCALL_GENL_NAME))
		return;
	cmd = genlmsg_hdr(header)->cmd;
	if (cmd == CTRL_CMD_DELFAMILY) {
		publish_module(hotplug, "unloaded");
	} else if (cmd == CTRL_CMD_NEWFAMILY) {
		if (!(header->nlmsg_flags & NLM_F_MULTI))
			publish_module(hotplug, "loaded");
		group = group_of(attrs[CTRL_ATTR_MCAST_GROUPS]);
		if (group)
			join(hotplug, (int)group);
	}
}

static int take(struct nl_msg *msg, void *arg)
{
	struct event_hotplug *hotplug = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct nlattr *attrs[UPCALL_GENL_ATTR_MAX + 1];

	if (!genlmsg_valid_hdr(header, 0))
		return NL_SKIP;
	if (header->nlmsg_type == GENL_ID_CTRL)
		take_control(hotplug, header);
	else if (genlmsg_hdr(header)->cmd == UPCALL_GENL_CMD_EVENT &&
		 !genlmsg_parse(header, 0, attrs, UPCALL_GENL_ATTR_MAX, event_policy))
		publish(hotplug, attrs);
	return NL_OK;
}

static void ready(struct agent_source *source, uint32_t happened)
{
	struct event_hotplug *hotplug =
		agent_container(source, struct event_hotplug, source);
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	int ret = nl_recvmsgs_default(hotplug->sk);

	(void)happened;
	/* The kernel had no room for one: libnl's word for ENOBUFS. */
	if (ret == -NLE_NOMEM) {
		event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_LOST;
		event.number = 1;
		event.text = (char *)"at least as many, of the upcall module's";
		agent_events_publish(hotplug->events, &event);
	}
}

/*
 * Joins the module's group if the module is there, by a dump of all families: asked for
 * one that is not there, the kernel runs modprobe(8) before it answers. What a dump
 * says is there to be read at once.
 */
static void find_module(struct event_hotplug *hotplug)
{
	int ret = genl_send_simple(hotplug->sk, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1,
				   NLM_F_DUMP);

	if (ret >= 0)
		ret = nl_recvmsgs_default(hotplug->sk);
	if (ret < 0 && ret != -NLE_AGAIN)
		agent_log(AGENT_LOG_WARNING,
			  "whether the upcall module is loaded cannot be told: %s",
			  nl_geterror(ret));
}

static int open_socket(struct event_hotplug *hotplug, struct error *err)
{
	hotplug->sk = netlink_open(NETLINK_GENERIC, err);
	if (!hotplug->sk)
		return err->code;
	/* First, so that a module that is loaded meanwhile is not missed. */
	nl_socket_add_membership(hotplug->sk, GENL_ID_CTRL);
	nl_socket_disable_seq_check(hotplug->sk);
	nl_socket_modify_cb(hotplug->sk, NL_CB_VALID, NL_CB_CUSTOM, take, hotplug);
	nl_socket_set_nonblocking(hotplug->sk);
	find_module(hotplug);
	hotplug->source.ready = ready;
	hotplug->source.fd = nl_socket_get_fd(hotplug->sk);
	return agent_loop_add(&hotplug->events->agent->loop, &hotplug->source, EPOLLIN);
}

void event_hotplug_start(struct event_hotplug *hotplug, struct agent_events *events)
{
	struct error err;
	int ret;

	hotplug->events = events;
	ret = open_socket(hotplug, &err);
	if (!ret)
		return;
	agent_log(AGENT_LOG_WARNING, "the upcall module's events cannot be had: %s",
		  hotplug->sk ? strerror(-ret) : err.text);
	if (hotplug->sk)
		nl_socket_free(hotplug->sk);
	hotplug->sk = NULL;
}

void event_hotplug_stop(struct event_hotplug *hotplug)
{
	if (!hotplug->sk)
		return;
	agent_loop_remove(&hotplug->events->agent->loop, &hotplug->source);
	nl_socket_free(hotplug->sk);
	hotplug->sk = NULL;
}
