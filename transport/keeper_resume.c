/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: what was kept becomes messages of the front-end's again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keeper.h"
#include "log.h"
#include "sandbox_calls.h"
#include "store.h"
#include "vhost_user_handlers.h"

SANDBOX_CALLS("close", "fcntl");

/* The stored descriptor of that number; -1. Belongs to whom it is for. */
static int take(struct keeper *keeper, uint32_t number)
{
	char name[STORE_NAME_MAX];
	int fd = store_take(keeper_name(number, name));

	/* It may have been taken already, for another use of the same file. */
	for (size_t i = 0; fd < 0 && i < keeper->count; i++)
		if (keeper->kept[i].number == number && keeper->kept[i].fd >= 0)
			fd = fcntl(keeper->kept[i].fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && !keeper_add(keeper, number, fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

int keeper_take_front(struct keeper *keeper)
{
	return keeper->record.front ? take(keeper, keeper->record.front) : -1;
}

static int say(struct vhost_user *vu, uint32_t request, const void *payload,
	       uint32_t size, int fd, struct error *err)
{
	const struct vhost_user_handler *handler = vhost_user_handler(request);
	struct vhost_user_message *msg = &vu->message;
	int ret;

	msg->request = request;
	msg->flags = VHOST_USER_VERSION;
	msg->size = size;
	memcpy(msg->payload, payload, size);
	msg->fds[0] = fd;
	msg->fd_count = fd >= 0;
	ret = handler->handle(vu, msg, err);
	if (fd >= 0 && msg->fds[0] >= 0)
		close(fd);
	msg->fd_count = 0;
	return ret < 0 ? error_prefix(err, "%s", handler->name) : 0;
}

static int say_u64(struct vhost_user *vu, uint32_t request, uint64_t value,
		   struct error *err)
{
	return say(vu, request, &value, sizeof(value), -1, err);
}

static int say_ring(struct vhost_user *vu, uint32_t request, uint32_t index,
		    uint32_t num, struct error *err)
{
	uint32_t state[2] = {index, num};

	return say(vu, request, state, sizeof(state), -1, err);
}

static int say_fd(struct keeper *keeper, struct vhost_user *vu, uint32_t request,
		  uint64_t index, uint32_t number, struct error *err)
{
	int fd;

	if (!number)
		return 0;
	fd = take(keeper, number);
	if (fd < 0)
		return error_set(err, -ENOENT,
				 "the descriptor of %s is not in the store",
				 vhost_user_name(request));
	return say(vu, request, &index, sizeof(index), fd, err);
}

/* Mapped, the files are of no further use. */
static void close_files(struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->count; i++) {
		struct kept *kept = &keeper->kept[i];

		if (!kept->regular || kept->fd < 0)
			continue;
		close(kept->fd);
		kept->fd = -1;
	}
}

static int resume_log(struct keeper *keeper, struct vhost_user *vu, struct error *err)
{
	const struct state_record *record = &keeper->record;
	int fd = take(keeper, record->log_file);

	if (fd < 0)
		return error_set(err, -ENOENT, "the log is not in the store");
	return dirty_log_map(&vu->log, fd, record->log_size, record->log_offset, err);
}

static int resume_inflight(struct keeper *keeper, struct vhost_user *vu,
			   struct error *err)
{
	const struct state_record *record = &keeper->record;
	int fd = take(keeper, record->inflight_file), ret;

	if (fd < 0)
		return error_set(err, -ENOENT, "what is in flight is not in the store");
	ret = inflight_map(&vu->inflight, fd, record->inflight_size,
			   record->inflight_offset, (uint16_t)record->inflight_queues,
			   (uint16_t)record->inflight_num, err);
	vhost_user_follow_inflight(vu);
	return ret;
}

static int resume_memory(struct keeper *keeper, struct vhost_user *vu,
			 struct error *err)
{
	const struct state_record *record = &keeper->record;
	static struct memory_layout layout[MEMORY_REGIONS_MAX];
	static int fds[MEMORY_REGIONS_MAX];
	int ret;

	for (uint32_t i = 0; i < record->region_count; i++) {
		layout[i] = record->region[i].layout;
		fds[i] = take(keeper, record->region[i].file);
		if (fds[i] < 0)
			return error_set(err, -ENOENT,
					 "the file of memory region %u is not in the "
					 "store",
					 i);
	}
	ret = memory_map(&vu->memory, layout, fds, record->region_count, err);
	if (ret == 0 && record->log_size)
		ret = resume_log(keeper, vu, err);
	if (ret == 0 && record->inflight_size)
		ret = resume_inflight(keeper, vu, err);
	return ret;
}

static int resume_ring(struct keeper *keeper, struct vhost_user *vu, uint32_t i,
		       struct error *err)
{
	const struct state_ring *state = &keeper->record.ring[i];
	struct vhost_user_ring_addr addr = {
		.index = i,
		.flags = state->flags,
		.desc = state->desc,
		.used = state->used,
		.avail = state->avail,
		.log = state->log,
	};
	int ret = 0;

	if (state->num)
		ret = say_ring(vu, VHOST_USER_SET_VRING_NUM, i, state->num, err);
	if (ret == 0 && state->has_base)
		ret = say_ring(vu, VHOST_USER_SET_VRING_BASE, i, state->base, err);
	if (ret == 0)
		ret = say(vu, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1, err);
	if (ret == 0)
		ret = say_fd(keeper, vu, VHOST_USER_SET_VRING_CALL, i, state->call,
			     err);
	if (ret == 0)
		ret = say_fd(keeper, vu, VHOST_USER_SET_VRING_ERR, i, state->err, err);
	if (ret == 0 && state->enabled)
		ret = say_ring(vu, VHOST_USER_SET_VRING_ENABLE, i, 1, err);
	if (ret == 0 && state->started)
		ret = say_fd(keeper, vu, VHOST_USER_SET_VRING_KICK, i, state->kick,
			     err);
	return ret;
}

int keeper_resume(struct keeper *keeper, struct vhost_user *vu, struct error *err)
{
	const struct state_record *record = &keeper->record;
	int ret, reply_fd;

	if (!record->request_size)
		state_forget_request(keeper->state);
	vu->resuming = true;
	ret = resume_memory(keeper, vu, err);
	close_files(keeper);
	if (ret == 0)
		ret = say_fd(keeper, vu, VHOST_USER_SET_LOG_FD, 0, record->log_call,
			     err);
	if (ret == 0)
		ret = say_u64(vu, VHOST_USER_SET_PROTOCOL_FEATURES,
			      record->protocol_features, err);
	if (ret == 0)
		ret = say_u64(vu, VHOST_USER_SET_FEATURES, record->features, err);
	for (uint32_t i = 0; ret == 0 && i < STATE_RINGS; i++)
		ret = resume_ring(keeper, vu, i, err);
	vu->resuming = false;
	if (ret < 0)
		return ret;
	keeper_note(keeper, vu);
	reply_fd = record->reply_file ? take(keeper, record->reply_file) : -1;
	ret = keeper_finish(keeper, vu->fd, reply_fd, err);
	close_files(keeper);
	return ret;
}
