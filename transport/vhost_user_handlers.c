/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user_handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "log.h"

#define PROTOCOL_FEATURES                                                 \
	(VHOST_USER_P_MQ | VHOST_USER_P_REPLY_ACK | VHOST_USER_P_CONFIG | \
	 VHOST_USER_P_RESET_DEVICE)

/* Payloads, in the machine's own byte order. */
struct ring_state {
	uint32_t index, num;
};

struct ring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct mem_table {
	uint32_t count, padding;
	struct memory_layout region[MEMORY_REGIONS_MAX];
};

struct config {
	uint32_t offset, size, flags;
	uint8_t bytes[VHOST_USER_CONFIG_MAX];
};

enum {
	RING_FD_INDEX = 0xff,
	RING_FD_NONE = 0x100,
	MEM_TABLE_HEADER = 8,
	CONFIG_HEADER = 12,
};

static uint64_t get_u64(const struct vhost_user_message *msg)
{
	uint64_t value;

	memcpy(&value, msg->payload, sizeof(value));
	return value;
}

static void put_u64(struct vhost_user_message *msg, uint64_t value)
{
	memcpy(msg->payload, &value, sizeof(value));
	msg->size = sizeof(value);
}

static struct vring *find_ring(struct vhost_user *vu, uint32_t index, struct error *err)
{
	if (index < VHOST_USER_RINGS)
		return &vu->ring[index];
	error_set(err, -EINVAL, "ring %u, there are %d", index, VHOST_USER_RINGS);
	return NULL;
}

static int get_features(struct vhost_user *vu, struct vhost_user_message *msg,
			struct error *err)
{
	(void)err;
	put_u64(msg, vu->device_features);
	return 0;
}

static int set_features(struct vhost_user *vu, struct vhost_user_message *msg,
			struct error *err)
{
	uint64_t features = get_u64(msg);

	if (features & ~vu->device_features)
		return error_set(err, -EINVAL, "features 0x%llx were never offered",
				 (unsigned long long)(features & ~vu->device_features));
	vu->features = features;
	vu->ops->changed(vu->owner);
	return 0;
}

static int get_protocol_features(struct vhost_user *vu, struct vhost_user_message *msg,
				 struct error *err)
{
	(void)vu;
	(void)err;
	put_u64(msg, PROTOCOL_FEATURES);
	return 0;
}

static int set_protocol_features(struct vhost_user *vu, struct vhost_user_message *msg,
				 struct error *err)
{
	uint64_t features = get_u64(msg);

	if (features & ~PROTOCOL_FEATURES)
		return error_set(err, -EINVAL,
				 "protocol features 0x%llx were never offered",
				 (unsigned long long)(features & ~PROTOCOL_FEATURES));
	vu->protocol_features = features;
	return 0;
}

static int get_queue_num(struct vhost_user *vu, struct vhost_user_message *msg,
			 struct error *err)
{
	(void)vu;
	(void)err;
	put_u64(msg, VHOST_USER_RINGS);
	return 0;
}

static int set_owner(struct vhost_user *vu, struct vhost_user_message *msg,
		     struct error *err)
{
	(void)vu;
	(void)msg;
	(void)err;
	return 0;
}

static void stop_ring(struct vhost_user *vu, unsigned int index)
{
	struct vring *ring = &vu->ring[index];

	if (ring->kick_fd >= 0) {
		vu->ops->unwatch(vu->owner, index, ring->kick_fd);
		close(ring->kick_fd);
		ring->kick_fd = -1;
	}
	vring_stop(ring);
}

/*
 * RESET_DEVICE, and RESET_OWNER, which front-ends send in its place to back-ends
 * that do not offer it.
 */
static int reset_device(struct vhost_user *vu, struct vhost_user_message *msg,
			struct error *err)
{
	(void)msg;
	(void)err;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		stop_ring(vu, i);
		vu->ring[i].enabled = false;
		vu->ring[i].next_avail = 0;
	}
	vu->ops->changed(vu->owner);
	vu->ops->reset(vu->owner);
	return 0;
}

static int set_mem_table(struct vhost_user *vu, struct vhost_user_message *msg,
			 struct error *err)
{
	struct mem_table table;
	int ret;

	memcpy(&table, msg->payload, msg->size);
	if (table.count > MEMORY_REGIONS_MAX ||
	    msg->size != MEM_TABLE_HEADER + table.count * sizeof(table.region[0]) ||
	    msg->fd_count != table.count)
		return error_set(err, -EINVAL,
				 "%u regions in %u bytes with %zu descriptors",
				 table.count, msg->size, msg->fd_count);
	ret = memory_map(&vu->memory, table.region, msg->fds, table.count, err);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		struct error why;

		if (!vu->ring[i].started)
			continue;
		if (vring_resolve(&vu->ring[i], &vu->memory, &why) == 0)
			continue;
		stop_ring(vu, i);
		vu->ops->changed(vu->owner);
		ret = error_set(err, -EFAULT, "ring %u is outside: %.300s", i,
				why.text);
	}
	return ret;
}

static int set_vring_num(struct vhost_user *vu, struct vhost_user_message *msg,
			 struct error *err)
{
	struct ring_state state;
	struct vring *ring;

	memcpy(&state, msg->payload, sizeof(state));
	ring = find_ring(vu, state.index, err);
	if (!ring)
		return -EINVAL;
	if (ring->started)
		return error_set(err, -EBUSY, "ring %u is running", state.index);
	if (!state.num || state.num > VRING_NUM_MAX || (state.num & (state.num - 1)))
		return error_set(err, -EINVAL,
				 "ring %u of %u entries, a power of two up to %d was "
				 "expected",
				 state.index, state.num, VRING_NUM_MAX);
	ring->num = state.num;
	return 0;
}

static int set_vring_addr(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	struct ring_addr addr;
	struct vring *ring, next;
	int ret;

	memcpy(&addr, msg->payload, sizeof(addr));
	ring = find_ring(vu, addr.index, err);
	if (!ring)
		return -EINVAL;
	next = *ring;
	next.desc_user = addr.desc;
	next.avail_user = addr.avail;
	next.used_user = addr.used;
	/* Else this is checked at the start: the memory may come after it. */
	if (ring->started) {
		ret = vring_resolve(&next, &vu->memory, err);
		if (ret < 0)
			return ret;
	}
	*ring = next;
	return 0;
}

static int set_vring_base(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	struct ring_state state;
	struct vring *ring;

	memcpy(&state, msg->payload, sizeof(state));
	ring = find_ring(vu, state.index, err);
	if (!ring)
		return -EINVAL;
	if (ring->started)
		return error_set(err, -EBUSY, "ring %u is running", state.index);
	if (state.num > UINT16_MAX)
		return error_set(err, -EINVAL, "ring %u is to start at %u", state.index,
				 state.num);
	ring->next_avail = (uint16_t)state.num;
	return 0;
}

static int get_vring_base(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	struct ring_state state;
	struct vring *ring;

	memcpy(&state, msg->payload, sizeof(state));
	ring = find_ring(vu, state.index, err);
	if (!ring)
		return -EINVAL;
	stop_ring(vu, state.index);
	vu->ops->changed(vu->owner);
	state.num = ring->next_avail;
	memcpy(msg->payload, &state, sizeof(state));
	msg->size = sizeof(state);
	return 0;
}

/*
 * Finds the ring of a message with at most one descriptor, which goes to *fd (-1:
 * none). Nobody may block this process through it, whatever it is.
 */
static struct vring *take_ring_fd(struct vhost_user *vu, struct vhost_user_message *msg,
				  unsigned int *index, int *fd, struct error *err)
{
	uint64_t value = get_u64(msg);
	struct vring *ring;
	struct stat st;
	int flags;

	*index = value & RING_FD_INDEX;
	*fd = -1;
	ring = find_ring(vu, *index, err);
	if (!ring)
		return NULL;
	if (msg->fd_count != !(value & RING_FD_NONE)) {
		error_set(err, -EPROTO, "%zu descriptors for ring %u", msg->fd_count,
			  *index);
		return NULL;
	}
	if (value & RING_FD_NONE)
		return ring;
	/* With its own end of the connection held here, its death went unnoticed. */
	if (fstat(msg->fds[0], &st) == 0 && S_ISSOCK(st.st_mode)) {
		error_set(err, -EINVAL, "the descriptor for ring %u is a socket",
			  *index);
		return NULL;
	}
	flags = fcntl(msg->fds[0], F_GETFL);
	if (flags < 0 || fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) < 0) {
		error_set(err, -errno, "the descriptor for ring %u cannot be used: %s",
			  *index, strerror(errno));
		return NULL;
	}
	*fd = steal_fd(&msg->fds[0]);
	return ring;
}

static int set_vring_kick(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	cleanup_close int fd = -1;
	unsigned int index;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);
	int ret;

	if (!ring)
		return err->code;
	if (fd < 0)
		return error_set(err, -EOPNOTSUPP, "ring %u is to be polled", index);
	if (ring->kick_fd >= 0) {
		vu->ops->unwatch(vu->owner, index, ring->kick_fd);
		close(ring->kick_fd);
		ring->kick_fd = -1;
	}
	if (!ring->started) {
		ret = vring_start(ring, &vu->memory, vu->features, err);
		if (ret < 0)
			return error_prefix(err, "ring %u", index);
	}
	ret = vu->ops->watch(vu->owner, index, fd);
	if (ret < 0) {
		vring_stop(ring);
		vu->ops->changed(vu->owner);
		return error_set(err, ret,
				 "the kick descriptor of ring %u is no eventfd: %s",
				 index, strerror(-ret));
	}
	ring->kick_fd = steal_fd(&fd);
	vu->ops->changed(vu->owner);
	return 0;
}

static int set_vring_call(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	unsigned int index;
	int fd;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);

	if (!ring)
		return err->code;
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	ring->call_fd = fd;
	/* What was signalled on the old one may never have arrived. */
	if (ring->started)
		vring_interrupt(ring);
	return 0;
}

static int set_vring_err(struct vhost_user *vu, struct vhost_user_message *msg,
			 struct error *err)
{
	unsigned int index;
	int fd;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);

	if (!ring)
		return err->code;
	if (ring->err_fd >= 0)
		close(ring->err_fd);
	ring->err_fd = fd;
	return 0;
}

static int set_vring_enable(struct vhost_user *vu, struct vhost_user_message *msg,
			    struct error *err)
{
	struct ring_state state;
	struct vring *ring;

	memcpy(&state, msg->payload, sizeof(state));
	ring = find_ring(vu, state.index, err);
	if (!ring)
		return -EINVAL;
	if (state.num > 1)
		return error_set(err, -EINVAL, "ring %u is to be enabled by %u",
				 state.index, state.num);
	ring->enabled = state.num;
	vu->ops->changed(vu->owner);
	return 0;
}

/* An answer without payload is how the protocol says no here. */
static int get_config(struct vhost_user *vu, struct vhost_user_message *msg,
		      struct error *err)
{
	struct config config;

	(void)err;
	memcpy(&config, msg->payload, msg->size);
	if (config.size != msg->size - CONFIG_HEADER ||
	    config.offset > vu->config_size ||
	    config.size > vu->config_size - config.offset) {
		log_limited(
			LOG_LEVEL_WARNING,
			"GET_CONFIG: %u bytes at %u of a configuration of %zu; refused",
			config.size, config.offset, vu->config_size);
		msg->size = 0;
		return 0;
	}
	memcpy(config.bytes, vu->config + config.offset, config.size);
	memcpy(msg->payload, &config, msg->size);
	return 0;
}

static int set_config(struct vhost_user *vu, struct vhost_user_message *msg,
		      struct error *err)
{
	(void)vu;
	(void)msg;
	return error_set(err, -EPERM, "nothing of the configuration can be written");
}

#define STATE sizeof(struct ring_state), sizeof(struct ring_state)
#define U64   8, 8

static const struct vhost_user_handler handlers[VHOST_USER_REQUESTS] = {
	[VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, 0, 0, true, get_features},
	[VHOST_USER_SET_FEATURES] = {"SET_FEATURES", U64, 0, false, set_features},
	[VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, 0, 0, false, set_owner},
	[VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, 0, 0, false, reset_device},
	[VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", MEM_TABLE_HEADER,
				      sizeof(struct mem_table), MEMORY_REGIONS_MAX,
				      false, set_mem_table},
	[VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", STATE, 0, false, set_vring_num},
	[VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", sizeof(struct ring_addr),
				       sizeof(struct ring_addr), 0, false,
				       set_vring_addr},
	[VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", STATE, 0, false,
				       set_vring_base},
	[VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", STATE, 0, true,
				       get_vring_base},
	[VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", U64, 1, false, set_vring_kick},
	[VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", U64, 1, false, set_vring_call},
	[VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", U64, 1, false, set_vring_err},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, true,
					      get_protocol_features},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", U64, 0, false,
					      set_protocol_features},
	[VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, 0, true, get_queue_num},
	[VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", STATE, 0, false,
					 set_vring_enable},
	[VHOST_USER_GET_CONFIG] = {"GET_CONFIG", CONFIG_HEADER, sizeof(struct config),
				   0, true, get_config},
	[VHOST_USER_SET_CONFIG] = {"SET_CONFIG", CONFIG_HEADER, sizeof(struct config),
				   0, false, set_config},
	[VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", 0, 0, 0, false, reset_device},
};

const struct vhost_user_handler *vhost_user_handler(uint32_t request)
{
	if (request >= VHOST_USER_REQUESTS || !handlers[request].handle)
		return NULL;
	return &handlers[request];
}

const char *vhost_user_name(uint32_t request)
{
	const struct vhost_user_handler *handler = vhost_user_handler(request);

	return handler ? handler->name : "an unknown request";
}
