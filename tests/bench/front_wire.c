/* SPDX-License-Identifier: Apache-2.0 */
#include "front_wire.h"

#include <string.h>
#include <sys/socket.h>

#include "bench.h"

enum {
	HEADER = 12,
	PAYLOAD_MAX = 512,
	VERSION = 1,
	REPLY = 4,
	NEED_REPLY = 8,
};

struct message {
	uint32_t request, flags, size;
	uint8_t payload[PAYLOAD_MAX];
};

static void send_message(const struct wire *wire, const struct message *msg, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)msg, HEADER + msg->size};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(wire->fd, &hdr, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		die_errno("cannot send vhost-user request %u", msg->request);
}

static void receive_message(const struct wire *wire, struct message *msg, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {msg, HEADER};
	struct msghdr hdr = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(wire->fd, &hdr, MSG_WAITALL | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n == HEADER ? CMSG_FIRSTHDR(&hdr) : NULL;

	if (n == HEADER && msg->size <= PAYLOAD_MAX &&
	    (!msg->size || recv(wire->fd, msg->payload, msg->size, MSG_WAITALL) ==
				   (ssize_t)msg->size)) {
		if (fd && c && c->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
		return;
	}
	die("the back-end ended the vhost-user connection instead of answering");
}

static void fill(const struct wire *wire, struct message *msg, enum request request,
		 const void *payload, uint32_t size)
{
	*msg = (struct message){.request = request, .flags = VERSION, .size = size};
	if (wire->reply_ack && wire->need_reply)
		msg->flags |= NEED_REPLY;
	if (size)
		memcpy(msg->payload, payload, size);
}

static void receive_ack(const struct wire *wire, enum request request)
{
	struct message msg = {0};
	uint64_t ack;

	receive_message(wire, &msg, NULL);
	if (msg.request != request || msg.size != sizeof(ack) || !(msg.flags & REPLY))
		die("vhost-user request %u was answered by %u with %u bytes", request,
		    msg.request, msg.size);
	memcpy(&ack, msg.payload, sizeof(ack));
	if (ack)
		die("the back-end refused vhost-user request %u (%llu)", request,
		    (unsigned long long)ack);
}

void wire_send(const struct wire *wire, enum request request, const void *payload,
	       uint32_t size, int fd)
{
	struct message msg;

	fill(wire, &msg, request, payload, size);
	send_message(wire, &msg, fd);
	if (msg.flags & NEED_REPLY)
		receive_ack(wire, request);
}

void wire_send_acked(const struct wire *wire, enum request request, const void *payload,
		     uint32_t size, int fd)
{
	struct wire acked = *wire;

	acked.need_reply = true;
	wire_send(&acked, request, payload, size, fd);
}

void wire_send_u64(const struct wire *wire, enum request request, uint64_t value,
		   int fd)
{
	wire_send(wire, request, &value, sizeof(value), fd);
}

void wire_send_state(const struct wire *wire, enum request request, uint32_t index,
		     uint32_t num)
{
	uint32_t state[2] = {index, num};

	wire_send(wire, request, state, sizeof(state), -1);
}

void wire_ask(const struct wire *wire, enum request request, const void *payload,
	      uint32_t size, void *answer, uint32_t answer_size, int *fd)
{
	struct message msg = {0};

	fill(wire, &msg, request, payload, size);
	send_message(wire, &msg, -1);
	receive_message(wire, &msg, fd);
	if (msg.request != request || msg.size != answer_size || !(msg.flags & REPLY))
		die("vhost-user request %u was answered by %u with %u bytes, %u were "
		    "expected",
		    request, msg.request, msg.size, answer_size);
	memcpy(answer, msg.payload, answer_size);
}

uint64_t wire_ask_u64(const struct wire *wire, enum request request)
{
	uint64_t value;

	wire_ask(wire, request, NULL, 0, &value, sizeof(value), NULL);
	return value;
}
