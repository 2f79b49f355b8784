// SPDX-License-Identifier: Apache-2.0
#include "guest_vsock.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/vm_sockets_diag.h>
#include <netinet/tcp.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink.h"

struct taken {
	struct guest_vsock *list;
	size_t n, room;
	bool no_memory;
};

static const char *type_name(uint8_t type)
{
	switch (type) {
	case SOCK_STREAM:
		return "stream";
	case SOCK_DGRAM:
		return "dgram";
	case SOCK_SEQPACKET:
		return "seqpacket";
	default:
		return "unknown";
	}
}

/* The kernel uses TCP's numbers. */
static const char *state_name(uint8_t state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "established", [TCP_SYN_SENT] = "connecting",
		[TCP_CLOSE] = "unconnected",	   [TCP_LISTEN] = "listen",
		[TCP_CLOSING] = "closing",
	};

	if (state >= sizeof(names) / sizeof(names[0]) || !names[state])
		return "unknown";
	return names[state];
}

static int take(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *header = nlmsg_hdr(msg);
	struct taken *taken = arg;
	struct vsock_diag_msg diag;

	if (nlmsg_datalen(header) < (int)sizeof(diag) || taken->n == GUEST_VSOCK_MAX)
		return NL_OK;
	if (taken->n == taken->room) {
		size_t room = taken->room ? 2 * taken->room : 64;
		void *p = realloc(taken->list, room * sizeof(*taken->list));

		taken->no_memory = !p;
		if (!p)
			return NL_STOP;
		taken->list = p;
		taken->room = room;
	}
	memcpy(&diag, nlmsg_data(header), sizeof(diag));
	taken->list[taken->n++] = (struct guest_vsock){
		.type = type_name(diag.vdiag_type),
		.state = state_name(diag.vdiag_state),
		.local_cid = diag.vdiag_src_cid,
		.local_port = diag.vdiag_src_port,
		.peer_cid = diag.vdiag_dst_cid,
		.peer_port = diag.vdiag_dst_port,
		.inode = diag.vdiag_ino,
	};
	return NL_OK;
}

int guest_vsock_list(struct guest_vsock **list, size_t *n, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_SOCK_DIAG, err);
	struct vsock_diag_req request = {
		.sdiag_family = AF_VSOCK,
		.vdiag_states = UINT32_MAX,
	};
	struct taken taken = {0};
	int ret;

	if (!sk)
		return err->code;
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, take, &taken);
	ret = nl_send_simple(sk, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request,
			     sizeof(request));
	if (ret >= 0)
		ret = nl_recvmsgs_default(sk);
	if (ret < 0 || taken.no_memory) {
		free(taken.list);
		if (ret >= 0)
			return error_set(err, -ENOMEM, "no memory for a list");
		if (ret == -NLE_OBJ_NOTFOUND)
			return error_set(err, -EOPNOTSUPP,
					 "the kernel does not tell of its vsock "
					 "sockets; is the module vsock_diag loaded?");
		return netlink_fail(err, ret, "reading the vsock sockets");
	}
	*list = taken.list;
	*n = taken.n;
	return 0;
}
