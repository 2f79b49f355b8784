/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("recvmmsg", "sendmmsg", "close", "munmap");

#define MAGIC	 0x73742d646b636f73ULL /* "sockd-ts" */
#define CONNS_AT ((sizeof(struct state_file) + 4095) & ~(size_t)4095)

enum {
	VERSION = 2, /* of everything in the file */
	PARTS = 24,  /* reads that one request may take: one for each descriptor */
};

struct slot {
	uint64_t serial; /* of the record; 0: it is being written */
	uint64_t sum;
	struct state_record record;
};

struct state_file {
	uint64_t magic;
	uint32_t version, conns_max;
	uint32_t age, privileged_port;
	uint32_t conns_used, reserved;
	/* Written by the kernel. Their pointers mean nothing to the next process. */
	struct mmsghdr taken[PARTS], sent;
	struct vring_record vring[STATE_RINGS];
	struct slot slot[2];
};

static int map(struct state *state, int fd, uint32_t conns, struct error *err)
{
	size_t size = CONNS_AT + (size_t)conns * sizeof(struct state_conn);
	void *at;

	if (ftruncate(fd, (off_t)size) < 0)
		return error_set(err, -errno, "cannot make room for the state: %s",
				 strerror(errno));
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return error_set(err, -errno, "cannot map the state: %s",
				 strerror(errno));
	*state = (struct state){
		.fd = fd,
		.file = at,
		.size = size,
		.conns_max = conns,
		.conn = (struct state_conn *)((char *)at + CONNS_AT),
	};
	return 0;
}

int state_create(struct state *state, uint32_t conns, struct error *err)
{
	cleanup_close int fd = memfd_create("vsockd-state", MFD_CLOEXEC);
	int ret;

	*state = (struct state){.fd = -1};
	if (fd < 0)
		return error_set(err, -errno, "cannot make a file for the state: %s",
				 strerror(errno));
	ret = map(state, fd, conns, err);
	if (ret < 0)
		return ret;
	steal_fd(&fd);
	state->file->magic = MAGIC;
	state->file->version = VERSION;
	state->file->conns_max = conns;
	return 0;
}

int state_open(struct state *state, int fd, uint32_t conns, struct error *err)
{
	cleanup_close int owned = fd;
	struct {
		uint64_t magic;
		uint32_t version, conns_max;
	} head;
	struct stat st;
	int ret;

	*state = (struct state){.fd = -1};
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || fstat(fd, &st) < 0 ||
	    head.magic != MAGIC || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size !=
		    CONNS_AT + (uint64_t)head.conns_max * sizeof(struct state_conn))
		return error_set(err, -EBADMSG, "what was stored is no state");
	if (head.version != VERSION)
		return error_set(err, -EBADMSG,
				 "the state is of version %u, this program knows %d",
				 head.version, VERSION);
	/* Never less than it was: those at the end are to be reset, too. */
	if (conns < head.conns_max)
		conns = head.conns_max;
	ret = map(state, fd, conns, err);
	if (ret < 0)
		return ret;
	steal_fd(&owned);
	state->file->conns_max = conns;
	state->file->age++;
	return 0;
}

void state_close(struct state *state)
{
	if (state->fd < 0)
		return;
	munmap(state->file, state->size);
	close(state->fd);
	*state = (struct state){.fd = -1};
}

uint32_t state_age(const struct state *state)
{
	return state->file->age;
}

uint32_t *state_privileged_port(struct state *state)
{
	return &state->file->privileged_port;
}

uint32_t state_conns_used(const struct state *state)
{
	uint32_t used = state->file->conns_used;

	return used < state->conns_max ? used : state->conns_max;
}

void state_use_conn(struct state *state, uint32_t at)
{
	if (at >= state->file->conns_used)
		state->file->conns_used = at + 1;
}

struct vring_record *state_vring_record(struct state *state, unsigned int ring)
{
	return &state->file->vring[ring];
}

/* Bytes of a record that are in use. */
static size_t length(const struct state_record *record)
{
	return offsetof(struct state_record, region) +
	       record->region_count * sizeof(record->region[0]);
}

/* FNV-1a, over words: the length is a multiple of theirs. */
static uint64_t sum_of(const struct state_record *record, uint64_t serial)
{
	const unsigned char *at = (const unsigned char *)record;
	uint64_t sum = 0xcbf29ce484222325ULL ^ serial, word;

	for (size_t i = 0; i < length(record); i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3ULL;
		sum ^= sum >> 29;
	}
	return sum;
}

_Static_assert(offsetof(struct state_record, region) % 8 == 0, "see sum_of()");

static bool adds_up(const struct slot *slot)
{
	return slot->serial && slot->record.region_count <= MEMORY_REGIONS_MAX &&
	       slot->record.reply_size <= STATE_REPLY_MAX &&
	       slot->sum == sum_of(&slot->record, slot->serial);
}

static const struct slot *newest(const struct state *state)
{
	const struct slot *a = &state->file->slot[0], *b = &state->file->slot[1];

	if (!adds_up(a))
		return adds_up(b) ? b : NULL;
	return adds_up(b) && b->serial > a->serial ? b : a;
}

bool state_load(const struct state *state, struct state_record *record)
{
	const struct slot *slot = newest(state);

	if (slot)
		memcpy(record, &slot->record, length(&slot->record));
	return slot;
}

/* Death stops the one thread that writes: the order of its own stores is enough. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

void state_save(struct state *state, const struct state_record *record)
{
	const struct slot *last = newest(state);
	struct slot *slot = &state->file->slot[last == &state->file->slot[0]];
	uint64_t serial = last ? last->serial + 1 : 1;

	slot->serial = 0;
	IN_ORDER();
	memcpy(&slot->record, record, length(record));
	slot->sum = sum_of(record, serial);
	IN_ORDER();
	slot->serial = serial;
	IN_ORDER();
}

int state_take_request(struct state *state, int fd, const struct state_record *record)
{
	uint32_t left = record->request_size;

	for (size_t i = 0; i < PARTS && left; i++) {
		struct mmsghdr *part = &state->file->taken[i];
		char bytes[STATE_REPLY_MAX];
		struct iovec iov = {bytes, left < sizeof(bytes) ? left : sizeof(bytes)};

		if (!part->msg_len) {
			/* The descriptors in it were taken when it was looked at. */
			part->msg_hdr =
				(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
			if (recvmmsg(fd, part, 1, MSG_DONTWAIT, NULL) < 0)
				return -errno;
		}
		if (!part->msg_len || part->msg_len > left)
			return -EPROTO;
		left -= part->msg_len;
	}
	return left ? -EPROTO : 0;
}

int state_send_reply(struct state *state, int fd, const struct state_record *record,
		     int reply_fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)record->reply, record->reply_size};
	struct mmsghdr *sent = &state->file->sent;

	if (!record->reply_size || sent->msg_len)
		return 0;
	sent->msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	if (reply_fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		sent->msg_hdr.msg_control = control;
		sent->msg_hdr.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &reply_fd, sizeof(reply_fd));
	}
	if (sendmmsg(fd, sent, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return sent->msg_len == record->reply_size ? 0 : -EIO;
}

void state_forget_request(struct state *state)
{
	for (size_t i = 0; i < PARTS; i++)
		state->file->taken[i].msg_len = 0;
	state->file->sent.msg_len = 0;
	IN_ORDER();
}
