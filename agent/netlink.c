// SPDX-License-Identifier: Apache-2.0
#include "netlink.h"

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/socket.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int netlink_errno(int nl_error)
{
	switch (abs(nl_error)) {
	case NLE_OBJ_NOTFOUND:
		return ENOENT;
	case NLE_EXIST:
		return EEXIST;
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_INVAL:
	case NLE_NOADDR:
	case NLE_RANGE:
	case NLE_AF_MISMATCH:
		return EINVAL;
	case NLE_NODEV:
		return ENODEV;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_BUSY:
		return EBUSY;
	case NLE_OPNOTSUPP:
	case NLE_AF_NOSUPPORT:
	case NLE_PROTO_MISMATCH:
		return EOPNOTSUPP;
	default:
		return EIO;
	}
}

int netlink_fail(struct error *err, int nl_error, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX / 2];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return error_set(err, -netlink_errno(nl_error), "%s: %s", text,
			 nl_geterror(nl_error));
}

struct nl_sock *netlink_open(int protocol, struct error *err)
{
	struct nl_sock *sk = nl_socket_alloc();
	int ret;

	if (!sk) {
		error_set(err, -ENOMEM, "no memory for a netlink socket");
		return NULL;
	}
	ret = nl_connect(sk, protocol);
	if (ret < 0) {
		netlink_fail(err, ret, "netlink socket, protocol %d", protocol);
		nl_socket_free(sk);
		return NULL;
	}
	return sk;
}
