/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "keeper.h"
#include "log.h"
#include "sandbox_calls.h"
#include "vhost_user_handlers.h"

SANDBOX_CALLS("recvfrom", "recvmsg", "sendmsg", "close", "setsockopt");

void vhost_user_init(struct vhost_user *vu, uint64_t device_features,
		     const uint8_t *config, size_t config_size,
		     const struct vhost_user_ops *ops, void *owner)
{
	*vu = (struct vhost_user){
		.fd = -1,
		.device_features = device_features | VHOST_USER_F_PROTOCOL_FEATURES |
				   VHOST_USER_F_LOG_ALL,
		.config = config,
		.config_size = config_size,
		.ops = ops,
		.owner = owner,
	};
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		vring_init(&vu->ring[i]);
	dirty_log_init(&vu->log, &vu->memory);
	vu->message.reply_fd = -1;
}

static void close_fds(struct vhost_user_message *msg)
{
	for (size_t i = 0; i < msg->fd_count; i++) {
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	}
	msg->fd_count = 0;
	if (msg->reply_fd >= 0)
		close(msg->reply_fd);
	msg->reply_fd = -1;
}

void vhost_user_attach(struct vhost_user *vu, int fd)
{
	vu->fd = fd;
	vu->message.fd_count = 0;
	if (vu->keeper)
		keeper_attach(vu->keeper, fd);
}

int vhost_user_resume(struct vhost_user *vu, int fd, struct error *err)
{
	vu->fd = fd;
	vu->message.fd_count = 0;
	return keeper_resume(vu->keeper, vu, err);
}

void vhost_user_detach(struct vhost_user *vu)
{
	if (vu->fd < 0)
		return;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		if (vu->ring[i].kick_fd >= 0)
			vu->ops->unwatch(vu->owner, i, vu->ring[i].kick_fd);
		vring_reset(&vu->ring[i]);
	}
	vu->ops->changed(vu->owner);
	memory_unmap(&vu->memory);
	dirty_log_free(&vu->log);
	inflight_unmap(&vu->inflight);
	close_fds(&vu->message);
	close(vu->fd);
	vu->fd = -1;
	vu->features = 0;
	vu->protocol_features = 0;
	if (vu->keeper)
		keeper_detach(vu->keeper);
}

bool vhost_user_ring_runs(const struct vhost_user *vu, unsigned int index)
{
	const struct vring *ring = &vu->ring[index];

	/* Without the protocol's features there is no SET_VRING_ENABLE. */
	return vring_is_resolved(ring) &&
	       (ring->enabled || !(vu->features & VHOST_USER_F_PROTOCOL_FEATURES));
}

/* Keeps the descriptors that came along, but at most max of them; how many came. */
static size_t take_fds(struct vhost_user_message *msg, struct msghdr *hdr, size_t max)
{
	struct cmsghdr *c;
	size_t came = 0;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			came++;
			if (msg->fd_count < max)
				msg->fds[msg->fd_count++] = fd;
			else
				close(fd);
		}
	}
	return came;
}

/* Where the next look at the socket begins. */
static int look_from(const struct vhost_user *vu, int offset)
{
	return setsockopt(vu->fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

/*
 * Looks at len bytes from the front of the socket (buf has room for one more) and
 * leaves them there: what was not carried out is the next process's, should this one
 * die. The descriptors beside them, if they are wanted, are copies. 1, 0 when there
 * are not so many yet, negative errno.
 */
static int look(struct vhost_user *vu, void *buf, size_t len, bool with_fds,
		struct error *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)];
	size_t have = 0;

	if (look_from(vu, 0) < 0)
		return error_set(err, -errno, "cannot look at the front-end's socket");
	/* What carries descriptors ends a look, which the next one goes on behind. */
	while (have < len) {
		/*
		 * A look that finds none here may go on to the descriptors of the next
		 * message: it is asked for one byte more, to show that it did.
		 */
		struct iovec iov = {(char *)buf + have, len - have + 1};
		struct msghdr hdr = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = with_fds ? control : NULL,
			.msg_controllen = with_fds ? sizeof(control) : 0,
		};
		size_t before = vu->message.fd_count;
		ssize_t n = recvmsg(vu->fd, &hdr,
				    MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return error_set(err, -errno,
					 "cannot receive from the front-end: %s",
					 strerror(errno));
		if (n == 0)
			return error_set(err, -ECONNRESET, "the front-end has closed");
		have += n;
		if (!with_fds)
			continue;
		if (have > len)
			take_fds(&vu->message, &hdr, 0);
		else if (before + take_fds(&vu->message, &hdr, VHOST_USER_FDS_MAX) >
				 VHOST_USER_FDS_MAX ||
			 (hdr.msg_flags & MSG_CTRUNC))
			return error_set(err, -E2BIG,
					 "a message with more than %d descriptors (or "
					 "none are left to this process)",
					 VHOST_USER_FDS_MAX);
	}
	return 1;
}

static int send_reply(struct vhost_user *vu, const struct vhost_user_message *msg,
		      struct error *err)
{
	uint32_t header[3] = {msg->request, VHOST_USER_VERSION | VHOST_USER_REPLY,
			      msg->size};
	struct iovec iov[2] = {
		{header, sizeof(header)},
		{(void *)msg->payload, msg->size},
	};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (msg->reply_fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &msg->reply_fd, sizeof(int));
	}
	n = sendmsg(vu->fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == (ssize_t)(sizeof(header) + msg->size))
		return 0;
	return error_set(err, n < 0 ? -errno : -EIO,
			 "the front-end does not take the reply to %s: %s",
			 vhost_user_name(msg->request),
			 n < 0 ? strerror(errno) : "cut short");
}

/* Takes the message from the socket, where it was only looked at. */
static int take(struct vhost_user *vu, size_t left, struct error *err)
{
	char bytes[VHOST_USER_HEADER_SIZE + VHOST_USER_PAYLOAD_MAX];

	while (left) {
		ssize_t n = recv(vu->fd, bytes, left, MSG_DONTWAIT);

		if (n <= 0)
			return error_set(err, n < 0 ? -errno : -ECONNRESET,
					 "cannot receive from the front-end");
		left -= n;
	}
	return 0;
}

/* 1: the message has become its answer. */
static int acknowledge(struct vhost_user_message *msg, bool failed)
{
	uint64_t code = failed;

	memcpy(msg->payload, &code, sizeof(code));
	msg->size = sizeof(code);
	return 1;
}

/*
 * Where the front-end asked for an answer it gets one, good or bad, and goes on
 * from there; where it did not, a failure must end the connection, since it
 * would take for granted what did not happen. 1: the message has become the answer;
 * 0: there is none.
 */
static int dispatch(struct vhost_user *vu, struct error *err)
{
	struct vhost_user_message *msg = &vu->message;
	bool wants_ack = (msg->flags & VHOST_USER_NEED_REPLY) &&
			 (vu->protocol_features & VHOST_USER_P_REPLY_ACK);
	const struct vhost_user_handler *handler = vhost_user_handler(msg->request);
	int ret;

	if (!handler) {
		log_limited(
			LOG_LEVEL_WARNING,
			"the front-end sent request %u, which is not known; refused",
			msg->request);
		return wants_ack ? acknowledge(msg, true) : 0;
	}
	log_debug("vhost-user: %s, %u bytes, %zu descriptors", handler->name, msg->size,
		  msg->fd_count);
	if (msg->size < handler->min || msg->size > handler->max ||
	    msg->fd_count > handler->fds)
		ret = error_set(
			err, -EPROTO,
			"%u bytes with %zu descriptors, where %u to %u bytes with "
			"at most %u were expected",
			msg->size, msg->fd_count, handler->min, handler->max,
			handler->fds);
	else
		ret = handler->handle(vu, msg, err);
	if (ret < 0) {
		error_prefix(err, "%s", handler->name);
		if (handler->replies || !wants_ack)
			return ret;
		log_limited(LOG_LEVEL_WARNING, "%s; refused", err->text);
	}
	if (handler->replies)
		return 1;
	return wants_ack ? acknowledge(msg, ret < 0) : 0;
}

static int carry_out(struct vhost_user *vu, size_t size, struct error *err)
{
	struct vhost_user_message *msg = &vu->message;
	int ret;

	if (vu->keeper)
		keeper_offer(vu->keeper, msg);
	ret = dispatch(vu, err);
	if (ret < 0)
		return ret;
	if (vu->keeper)
		return keeper_commit(vu->keeper, vu, (uint32_t)size, ret ? msg : NULL,
				     err);
	if (take(vu, size, err) < 0)
		return err->code;
	return ret ? send_reply(vu, msg, err) : 0;
}

static int parse_header(struct vhost_user_message *msg, const uint32_t words[static 3],
			struct error *err)
{
	msg->request = words[0];
	msg->flags = words[1];
	msg->size = words[2];
	if ((msg->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return error_set(err, -EPROTO,
				 "a message of version %u, where 1 was expected",
				 msg->flags & VHOST_USER_VERSION_MASK);
	if (msg->flags & VHOST_USER_REPLY)
		return error_set(err, -EPROTO, "a reply that nobody asked for");
	if (msg->size > VHOST_USER_PAYLOAD_MAX)
		return error_set(err, -EMSGSIZE,
				 "request %u announces %u bytes, at most %d are taken",
				 msg->request, msg->size, VHOST_USER_PAYLOAD_MAX);
	return 0;
}

/* One message: 1 and more may come, 0 when it is not there yet. */
static int read_message(struct vhost_user *vu, struct error *err)
{
	struct vhost_user_message *msg = &vu->message;
	uint32_t bytes[(VHOST_USER_HEADER_SIZE + VHOST_USER_PAYLOAD_MAX) / 4 + 1];
	size_t total;
	int ret = look(vu, bytes, VHOST_USER_HEADER_SIZE, false, err);

	if (ret <= 0)
		return ret;
	ret = parse_header(msg, bytes, err);
	if (ret < 0)
		return ret;
	total = VHOST_USER_HEADER_SIZE + msg->size;
	ret = look(vu, bytes, total, true, err);
	if (ret > 0) {
		memcpy(msg->payload, (char *)bytes + VHOST_USER_HEADER_SIZE, msg->size);
		ret = carry_out(vu, total, err);
		if (ret == 0)
			ret = 1;
	}
	close_fds(msg);
	return ret;
}

int vhost_user_read(struct vhost_user *vu, struct error *err)
{
	/* Bounded, so that a chatty front-end does not stop everything else. */
	for (int i = 0; i < 64; i++) {
		int ret = read_message(vu, err);

		if (ret <= 0)
			return ret;
	}
	return 1;
}
