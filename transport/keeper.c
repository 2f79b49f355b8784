/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_calls.h"
#include "store.h"
#include "vhost_user_handlers.h"

SANDBOX_CALLS("kcmp", "fstat", "newfstatat", "getpid", "close");

_Static_assert((int)VHOST_USER_RINGS == (int)STATE_RINGS, "a place for each");

const char *keeper_name(uint32_t number, char *name)
{
	snprintf(name, STORE_NAME_MAX, KEEPER_PREFIX "%u", number);
	return name;
}

void keeper_init(struct keeper *keeper, struct state *state)
{
	memset(keeper, 0, sizeof(*keeper));
	keeper->state = state;
	/* One that is not worth a look leaves its descriptors to be dropped. */
	if (!state_load(state, &keeper->record))
		keeper->record.front = 0;
}

void keeper_free(struct keeper *keeper)
{
	free(keeper->kept);
	keeper->kept = NULL;
	keeper->count = keeper->max = 0;
}

struct kept *keeper_add(struct keeper *keeper, uint32_t number, int fd)
{
	struct kept *kept;
	struct stat st;

	if (keeper->count == keeper->max) {
		size_t max = keeper->max ? keeper->max * 2 : 16;
		struct kept *more = realloc(keeper->kept, max * sizeof(*more));

		if (!more)
			return NULL;
		keeper->kept = more;
		keeper->max = max;
	}
	kept = &keeper->kept[keeper->count++];
	*kept = (struct kept){.number = number, .fd = fd};
	if (fd >= 0 && fstat(fd, &st) == 0) {
		kept->dev = st.st_dev;
		kept->ino = st.st_ino;
		kept->regular = S_ISREG(st.st_mode);
	}
	return kept;
}

/*
 * The same file twice is kept once, since the service manager's store does so too,
 * under the first name.
 */
static uint32_t find_same(const struct keeper *keeper, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return 0;
	for (size_t i = 0; i < keeper->count; i++) {
		const struct kept *kept = &keeper->kept[i];
		pid_t me = getpid();

		if (S_ISREG(st.st_mode)
			    ? kept->regular && kept->dev == st.st_dev &&
				      kept->ino == st.st_ino
			    : kept->fd >= 0 && syscall(SYS_kcmp, me, me, KCMP_FILE, fd,
						       kept->fd) == 0)
			return kept->number;
	}
	return 0;
}

static void keep(struct keeper *keeper, int fd)
{
	char name[STORE_NAME_MAX];
	uint32_t number;

	/* What had this descriptor's number was closed. */
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->kept[i].fd == fd)
			keeper->kept[i].fd = -1;
	number = find_same(keeper, fd);
	if (!number) {
		number = ++keeper->record.next_number;
		if (!store_put(keeper_name(number, name), fd))
			keeper->failed = true;
	}
	if (!keeper_add(keeper, number, fd))
		keeper->failed = true;
}

void keeper_offer(struct keeper *keeper, const struct vhost_user_message *msg)
{
	for (size_t i = 0; i < msg->fd_count; i++)
		keep(keeper, msg->fds[i]);
}

/* Notes that the descriptor is in use; its number. */
static uint32_t use_fd(struct keeper *keeper, int fd)
{
	for (size_t i = 0; fd >= 0 && i < keeper->count; i++) {
		if (keeper->kept[i].fd != fd)
			continue;
		keeper->kept[i].used = true;
		return keeper->kept[i].number;
	}
	return 0;
}

static uint32_t use_file(struct keeper *keeper, dev_t dev, ino_t ino)
{
	for (size_t i = 0; i < keeper->count; i++) {
		struct kept *kept = &keeper->kept[i];

		if (!kept->regular || kept->dev != dev || kept->ino != ino)
			continue;
		kept->used = true;
		return kept->number;
	}
	return 0;
}

static bool is_used(const struct keeper *keeper, uint32_t number)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->kept[i].number == number && keeper->kept[i].used)
			return true;
	return false;
}

/* Drops from the store what vu does not use any more. */
static void sweep(struct keeper *keeper)
{
	size_t left = 0;

	for (size_t i = 0; i < keeper->count; i++) {
		struct kept *kept = &keeper->kept[i];
		char name[STORE_NAME_MAX];
		bool last = true;

		if (kept->used)
			continue;
		for (size_t j = i + 1; j < keeper->count; j++)
			last &= keeper->kept[j].number != kept->number;
		if (last && !is_used(keeper, kept->number))
			store_drop(keeper_name(kept->number, name));
	}
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->kept[i].used)
			keeper->kept[left++] = keeper->kept[i];
	keeper->count = left;
}

static void note_ring(struct keeper *keeper, const struct vring *ring,
		      struct state_ring *state)
{
	*state = (struct state_ring){
		.desc = ring->desc_user,
		.avail = ring->avail_user,
		.used = ring->used_user,
		.log = ring->log_guest,
		.flags = ring->log_used ? VRING_F_LOG : 0,
		.num = ring->num,
		.base = vring_position(ring),
		.has_base = ring->has_base,
		.kick = use_fd(keeper, ring->kick_fd),
		.call = use_fd(keeper, ring->call_fd),
		.err = use_fd(keeper, ring->err_fd),
		.started = ring->started,
		.enabled = ring->enabled,
	};
}

void keeper_note(struct keeper *keeper, const struct vhost_user *vu)
{
	struct state_record *record = &keeper->record;

	for (size_t i = 0; i < keeper->count; i++)
		keeper->kept[i].used = false;
	record->front = use_fd(keeper, vu->fd);
	record->features = vu->features;
	record->protocol_features = vu->protocol_features;
	for (unsigned int i = 0; i < STATE_RINGS; i++)
		note_ring(keeper, &vu->ring[i], &record->ring[i]);
	record->log_size = vu->log.bits ? vu->log.size : 0;
	record->log_offset = vu->log.offset;
	record->log_file =
		vu->log.bits ? use_file(keeper, vu->log.dev, vu->log.ino) : 0;
	record->log_call = use_fd(keeper, vu->log.call_fd);
	record->inflight_size = vu->inflight.size;
	record->inflight_offset = vu->inflight.offset;
	record->inflight_queues = vu->inflight.count;
	record->inflight_num = vu->inflight.num;
	record->inflight_file = vu->inflight.rings ? use_file(keeper, vu->inflight.dev,
							      vu->inflight.ino)
						   : 0;
	record->region_count = (uint32_t)vu->memory.count;
	for (size_t i = 0; i < vu->memory.count; i++) {
		const struct memory_region *region = &vu->memory.region[i];

		record->region[i] = (struct state_region){
			.layout = {.guest = region->guest,
				   .size = region->size,
				   .user = region->user,
				   .offset = region->offset},
			.file = use_file(keeper, region->dev, region->ino),
		};
	}
}

void keeper_attach(struct keeper *keeper, int fd)
{
	uint32_t next = keeper->record.next_number;

	memset(&keeper->record, 0, sizeof(keeper->record));
	keeper->record.next_number = next;
	keeper->failed = false;
	keep(keeper, fd);
	keeper->record.front = use_fd(keeper, fd);
	state_save(keeper->state, &keeper->record);
	state_forget_request(keeper->state);
}

void keeper_detach(struct keeper *keeper)
{
	uint32_t next = keeper->record.next_number;

	memset(&keeper->record, 0, sizeof(keeper->record));
	keeper->record.next_number = next;
	state_save(keeper->state, &keeper->record);
	state_forget_request(keeper->state);
	for (size_t i = 0; i < keeper->count; i++)
		keeper->kept[i].used = false;
	sweep(keeper);
}

int keeper_finish(struct keeper *keeper, int fd, int reply_fd, struct error *err)
{
	struct state_record *record = &keeper->record;
	int ret = state_take_request(keeper->state, fd, record);

	if (ret < 0)
		return error_set(err, ret, "cannot receive from the front-end: %s",
				 strerror(-ret));
	ret = state_send_reply(keeper->state, fd, record, reply_fd);
	if (ret < 0)
		return error_set(err, ret, "the front-end does not take the reply: %s",
				 strerror(-ret));
	record->request_size = 0;
	record->reply_size = 0;
	record->reply_file = 0;
	state_save(keeper->state, record);
	state_forget_request(keeper->state);
	return 0;
}

int keeper_commit(struct keeper *keeper, const struct vhost_user *vu, uint32_t size,
		  const struct vhost_user_message *reply, struct error *err)
{
	struct state_record *record = &keeper->record;
	int reply_fd = reply ? reply->reply_fd : -1;
	bool failed = keeper->failed;

	if (reply_fd >= 0)
		keep(keeper, reply_fd);
	keeper_note(keeper, vu);
	record->reply_file = use_fd(keeper, reply_fd);
	record->request_size = size;
	if (reply) {
		uint32_t header[3] = {reply->request,
				      VHOST_USER_VERSION | VHOST_USER_REPLY,
				      reply->size};

		record->reply_size = sizeof(header) + reply->size;
		memcpy(record->reply, header, sizeof(header));
		memcpy(record->reply + sizeof(header), reply->payload, reply->size);
	}
	state_save(keeper->state, record);
	sweep(keeper);
	if (keeper->failed && !failed)
		log_warning("what the front-end sent could not be kept: it will not "
			    "survive this process");
	return keeper_finish(keeper, vu->fd, reply_fd, err);
}
