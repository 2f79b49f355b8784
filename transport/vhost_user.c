/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "vhost_user_handlers.h"

void vhost_user_init(struct vhost_user *vu, uint64_t device_features,
		     const uint8_t *config, size_t config_size,
		     const struct vhost_user_ops *ops, void *owner)
{
	*vu = (struct vhost_user){
		.fd = -1,
		.device_features = device_features | VHOST_USER_F_PROTOCOL_FEATURES,
		.config = config,
		.config_size = config_size,
		.ops = ops,
		.owner = owner,
	};
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		vring_init(&vu->ring[i]);
}

static void close_fds(struct vhost_user_message *msg)
{
	for (size_t i = 0; i < msg->fd_count; i++) {
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	}
	msg->fd_count = 0;
}

void vhost_user_attach(struct vhost_user *vu, int fd)
{
	vu->fd = fd;
	vu->received = 0;
	vu->message.fd_count = 0;
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
	close_fds(&vu->message);
	close(vu->fd);
	vu->fd = -1;
	vu->features = 0;
	vu->protocol_features = 0;
}

bool vhost_user_ring_runs(const struct vhost_user *vu, unsigned int index)
{
	const struct vring *ring = &vu->ring[index];

	/* Without the protocol's features there is no SET_VRING_ENABLE. */
	return vring_is_resolved(ring) &&
	       (ring->enabled || !(vu->features & VHOST_USER_F_PROTOCOL_FEATURES));
}

/* Keeps the descriptors that came along, as many as a message can have. */
static int take_fds(struct vhost_user_message *msg, struct msghdr *hdr,
		    struct error *err)
{
	struct cmsghdr *c;
	bool excess = hdr->msg_flags & MSG_CTRUNC;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (msg->fd_count < VHOST_USER_FDS_MAX) {
				msg->fds[msg->fd_count++] = fd;
				continue;
			}
			close(fd);
			excess = true;
		}
	}
	if (excess)
		return error_set(err, -E2BIG,
				 "a message with more than %d descriptors (or none are "
				 "left to this process)",
				 VHOST_USER_FDS_MAX);
	return 0;
}

/* Bytes received, 0 when there are none now, negative errno. */
static ssize_t receive(struct vhost_user *vu, void *buf, size_t len, struct error *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)];
	struct iovec iov = {buf, len};
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(vu->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int ret;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return error_set(err, -errno, "cannot receive from the front-end: %s",
				 strerror(errno));
	if (n == 0)
		return error_set(err, -ECONNRESET, "the front-end has closed");
	ret = take_fds(&vu->message, &hdr, err);
	return ret < 0 ? ret : n;
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
	struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = sendmsg(vu->fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == (ssize_t)(sizeof(header) + msg->size))
		return 0;
	return error_set(err, n < 0 ? -errno : -EIO,
			 "the front-end does not take the reply to %s: %s",
			 vhost_user_name(msg->request),
			 n < 0 ? strerror(errno) : "cut short");
}

static int acknowledge(struct vhost_user *vu, struct vhost_user_message *msg,
		       bool failed, struct error *err)
{
	uint64_t code = failed;

	memcpy(msg->payload, &code, sizeof(code));
	msg->size = sizeof(code);
	return send_reply(vu, msg, err);
}

/*
 * Where the front-end asked for an answer it gets one, good or bad, and goes on
 * from there; where it did not, a failure must end the connection, since it
 * would take for granted what did not happen.
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
		return wants_ack ? acknowledge(vu, msg, true, err) : 0;
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
		log_warning("%s; refused", err->text);
	}
	if (handler->replies)
		return send_reply(vu, msg, err);
	return wants_ack ? acknowledge(vu, msg, ret < 0, err) : 0;
}

static int parse_header(struct vhost_user *vu, struct error *err)
{
	struct vhost_user_message *msg = &vu->message;
	uint32_t words[3];

	memcpy(words, vu->header, sizeof(words));
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

/* One step: 1 and more may come, 0 when there is nothing more now. */
static int read_step(struct vhost_user *vu, struct error *err)
{
	size_t have = vu->received, total;
	ssize_t n;
	int ret;

	if (have < VHOST_USER_HEADER_SIZE) {
		n = receive(vu, vu->header + have, VHOST_USER_HEADER_SIZE - have, err);
		if (n <= 0)
			return (int)n;
		vu->received += n;
		if (vu->received < VHOST_USER_HEADER_SIZE)
			return 1;
		ret = parse_header(vu, err);
		if (ret < 0)
			return ret;
		have = vu->received;
	}
	total = VHOST_USER_HEADER_SIZE + vu->message.size;
	if (have < total) {
		n = receive(vu, vu->message.payload + have - VHOST_USER_HEADER_SIZE,
			    total - have, err);
		if (n <= 0)
			return (int)n;
		vu->received += n;
	}
	if (vu->received < total)
		return 1;
	vu->received = 0;
	ret = dispatch(vu, err);
	close_fds(&vu->message);
	return ret < 0 ? ret : 1;
}

int vhost_user_read(struct vhost_user *vu, struct error *err)
{
	/* Bounded, so that a chatty front-end does not stop everything else. */
	for (int i = 0; i < 64; i++) {
		int ret = read_step(vu, err);

		if (ret <= 0)
			return ret;
	}
	return 0;
}
