// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on what a front-end may send: messages with descriptors, through a
 * socket. Where they make rings run, these are worked on as the device would. No
 * descriptor may be left over.
 *
 * An input is a row of messages: descriptors, the 12 bytes of the header and the
 * payload. seeds.py writes some.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../transport/vhost_user.h"
#include "fuzz.h"

enum {
	FILE_SIZE = 1 << 20,
	FILES = 6,
	FEATURES_OFFERED = 7,
};

struct bench {
	struct vhost_user vu;
	int watched[VHOST_USER_RINGS];
	unsigned int changes;
};

/* Guest memory, a file that is too short, no file at all, and events. */
static int files[FILES];

static int watch(void *owner, unsigned int index, int kick_fd)
{
	struct bench *t = owner;

	CHECK(index < VHOST_USER_RINGS && t->watched[index] < 0);
	if (kick_fd < 0)
		return -1;
	t->watched[index] = kick_fd;
	return 0;
}

static void unwatch(void *owner, unsigned int index, int kick_fd)
{
	struct bench *t = owner;

	CHECK(index < VHOST_USER_RINGS && t->watched[index] == kick_fd);
	t->watched[index] = -1;
}

/* As the device does, with all that comes back at once. */
static void work(struct bench *t, unsigned int index)
{
	static struct iovec iov[VRING_PIECES_MAX];
	struct vring *ring = &t->vu.ring[index];
	struct vring_chain chain;
	struct error err;

	vring_quiet(ring);
	for (int i = 0; i < 8; i++) {
		int ret = vring_pop(ring, &t->vu.memory, iov, VRING_PIECES_MAX, &chain,
				    &err);

		if (ret <= 0)
			break;
		for (size_t p = 0; p < chain.n_write; p++)
			memset(iov[chain.n_read + p].iov_base, 0xa5,
			       iov[chain.n_read + p].iov_len);
		vring_push(ring, &chain, chain.write_len);
	}
	vring_commit(ring);
	vring_wait(ring);
}

static void changed(void *owner)
{
	struct bench *t = owner;

	if (++t->changes > 64)
		return;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		if (vhost_user_ring_runs(&t->vu, i))
			work(t, i);
}

static void reset(void *owner)
{
	(void)owner;
}

static const struct vhost_user_ops ops = {watch, unwatch, changed, reset};

static void make_files(void)
{
	files[0] = memfd_create("memory", MFD_CLOEXEC);
	files[1] = memfd_create("short", MFD_CLOEXEC);
	files[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	files[3] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	files[4] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	files[5] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(ftruncate(files[0], FILE_SIZE) == 0 && ftruncate(files[1], 4095) == 0);
}

/* Sends one message of the input; the bytes it took of it, 0 at the end. */
static size_t send_one(int fd, const uint8_t *data, size_t size)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 15)] = {0};
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t fd_count, bytes = VHOST_USER_HEADER_SIZE, part;
	uint32_t payload;

	if (size < 2 + VHOST_USER_HEADER_SIZE)
		return 0;
	memcpy(&payload, data + 2 + 8, sizeof(payload));
	bytes += payload % (VHOST_USER_PAYLOAD_MAX + 8);
	if (bytes > size - 2)
		bytes = size - 2;
	fd_count = data[0] % 16;
	if (fd_count) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (size_t i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int),
			       &files[(data[1] + i * (data[1] >> 4)) % FILES],
			       sizeof(int));
	}
	/* Some come in two pieces. */
	part = data[0] & 0x80 ? bytes / 2 : bytes;
	iov = (struct iovec){(void *)(data + 2), part};
	CHECK(sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part);
	if (part < bytes)
		CHECK(send(fd, data + 2 + part, bytes - part, MSG_DONTWAIT) > 0);
	return 2 + bytes;
}

static void drain(int fd)
{
	char bytes[4096], control[256];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	while (recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0) {
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
		     c = CMSG_NXTHDR(&msg, c)) {
			int got;

			memcpy(&got, CMSG_DATA(c), sizeof(got));
			close(got);
		}
		msg.msg_controllen = sizeof(control);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t config[8] = {3};
	static struct bench t;
	unsigned int before;
	struct error err;
	int pair[2], ret = 1;
	size_t used;

	make_files();
	before = fuzz_open_files();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			 pair) == 0);
	memset(&t, 0, sizeof(t));
	for (int i = 0; i < VHOST_USER_RINGS; i++)
		t.watched[i] = -1;
	vhost_user_init(&t.vu,
			FEATURES_OFFERED | VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX |
				VRING_F_PACKED | VHOST_USER_F_VERSION_1,
			config, sizeof(config), &ops, &t);
	vhost_user_attach(&t.vu, pair[0]);
	while (ret >= 0 && (used = send_one(pair[1], data, size)) > 0) {
		ret = vhost_user_read(&t.vu, &err);
		CHECK(ret >= 0 || err.text[0]);
		drain(pair[1]);
		data += used;
		size -= used;
	}
	vhost_user_detach(&t.vu);
	close(pair[1]);
	CHECK(fuzz_open_files() == before);
	for (int i = 0; i < FILES; i++)
		close(files[i]);
	return 0;
}
