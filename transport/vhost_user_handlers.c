/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user_handlers.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define PROTOCOL_FEATURES                                                             \
	(VHOST_USER_P_MQ | VHOST_USER_P_REPLY_ACK | VHOST_USER_P_CONFIG |             \
	 VHOST_USER_P_RESET_DEVICE | VHOST_USER_P_MEM_SLOTS | VHOST_USER_P_INFLIGHT | \
	 VHOST_USER_P_LOG_SHMFD)

/* Payloads, in the machine's own byte order. */
struct config {
	uint32_t offset, size, flags;
	uint8_t bytes[VHOST_USER_CONFIG_MAX];
};

enum {
	CONFIG_HEADER = 12,
};

uint64_t vhost_user_get_u64(const struct vhost_user_message *msg)
{
	uint64_t value;

	memcpy(&value, msg->payload, sizeof(value));
	return value;
}

void vhost_user_put_u64(struct vhost_user_message *msg, uint64_t value)
{
	memcpy(msg->payload, &value, sizeof(value));
	msg->size = sizeof(value);
}

struct vring *vhost_user_find_ring(struct vhost_user *vu, uint32_t index,
				   struct error *err)
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
	vhost_user_put_u64(msg, vu->device_features);
	return 0;
}

static int set_features(struct vhost_user *vu, struct vhost_user_message *msg,
			struct error *err)
{
	uint64_t features = vhost_user_get_u64(msg);

	if (features & ~vu->device_features)
		return error_set(err, -EINVAL, "features 0x%llx were never offered",
				 (unsigned long long)(features & ~vu->device_features));
	vu->features = features;
	vhost_user_follow_log(vu);
	vu->ops->changed(vu->owner);
	return 0;
}

static int get_protocol_features(struct vhost_user *vu, struct vhost_user_message *msg,
				 struct error *err)
{
	(void)vu;
	(void)err;
	vhost_user_put_u64(msg, PROTOCOL_FEATURES);
	return 0;
}

static int set_protocol_features(struct vhost_user *vu, struct vhost_user_message *msg,
				 struct error *err)
{
	uint64_t features = vhost_user_get_u64(msg);

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
	vhost_user_put_u64(msg, VHOST_USER_RINGS);
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

#define STATE	 sizeof(struct vhost_user_ring_state), sizeof(struct vhost_user_ring_state)
#define U64	 8, 8
#define INFLIGHT VHOST_USER_INFLIGHT_MIN, sizeof(struct vhost_user_inflight)
#define REG	 sizeof(struct vhost_user_mem_reg), sizeof(struct vhost_user_mem_reg)

static const struct vhost_user_handler handlers[VHOST_USER_REQUESTS] = {
	[VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, 0, 0, true, get_features},
	[VHOST_USER_SET_FEATURES] = {"SET_FEATURES", U64, 0, false, set_features},
	[VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, 0, 0, false, set_owner},
	[VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, 0, 0, false,
				    vhost_user_reset_device},
	[VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", VHOST_USER_MEM_TABLE_HEADER,
				      sizeof(struct vhost_user_mem_table),
				      MEMORY_TABLE_MAX, false,
				      vhost_user_set_mem_table},
	[VHOST_USER_SET_LOG_BASE] = {"SET_LOG_BASE", sizeof(struct vhost_user_log),
				     sizeof(struct vhost_user_log), 1, true,
				     vhost_user_set_log_base},
	[VHOST_USER_SET_LOG_FD] = {"SET_LOG_FD", 0, 8, 1, false, vhost_user_set_log_fd},
	[VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", STATE, 0, false,
				      vhost_user_set_vring_num},
	[VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR",
				       sizeof(struct vhost_user_ring_addr),
				       sizeof(struct vhost_user_ring_addr), 0, false,
				       vhost_user_set_vring_addr},
	[VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", STATE, 0, false,
				       vhost_user_set_vring_base},
	[VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", STATE, 0, true,
				       vhost_user_get_vring_base},
	[VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", U64, 1, false,
				       vhost_user_set_vring_kick},
	[VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", U64, 1, false,
				       vhost_user_set_vring_call},
	[VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", U64, 1, false,
				      vhost_user_set_vring_err},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, true,
					      get_protocol_features},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", U64, 0, false,
					      set_protocol_features},
	[VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, 0, true, get_queue_num},
	[VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", STATE, 0, false,
					 vhost_user_set_vring_enable},
	[VHOST_USER_GET_CONFIG] = {"GET_CONFIG", CONFIG_HEADER, sizeof(struct config),
				   0, true, get_config},
	[VHOST_USER_SET_CONFIG] = {"SET_CONFIG", CONFIG_HEADER, sizeof(struct config),
				   0, false, set_config},
	[VHOST_USER_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", INFLIGHT, 0, true,
					vhost_user_get_inflight_fd},
	[VHOST_USER_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", INFLIGHT, 1, false,
					vhost_user_set_inflight_fd},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", 0, 0, 0, true,
					  vhost_user_get_max_mem_slots},
	[VHOST_USER_ADD_MEM_REG] = {"ADD_MEM_REG", REG, 1, false,
				    vhost_user_add_mem_reg},
	[VHOST_USER_REM_MEM_REG] = {"REM_MEM_REG", REG, 1, false,
				    vhost_user_rem_mem_reg},
	[VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", 0, 0, 0, false,
				     vhost_user_reset_device},
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
