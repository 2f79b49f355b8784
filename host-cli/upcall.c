/* SPDX-License-Identifier: Apache-2.0 */
#include "upcall.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "text.h"

/* Closes for good: what the server may still send has no meaning any more. */
static int give_up(struct upcall *u, int ret)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	u->pending = false;
	return ret;
}

/* Checks the fields that every message has; the payload's size is the caller's. */
static int check_header(const struct upcall_header *h, uint32_t type, struct error *err)
{
	if (le32toh(h->magic_version) != UPCALL_MAGIC)
		return error_set(err, -EPROTO, "wrong magic 0x%08x in its message",
				 le32toh(h->magic_version));
	if (le32toh(h->msg_type) != type)
		return error_set(err, -EPROTO, "message of type %u where %u was due",
				 le32toh(h->msg_type), type);
	if (le32toh(h->msg_size) > UPCALL_PAYLOAD_MAX)
		return error_set(err, -EPROTO, "a payload of %u bytes cannot be",
				 le32toh(h->msg_size));
	return 0;
}

static int take_connect(struct upcall *u, struct error *err)
{
	struct upcall_announce a;
	struct upcall_header h;
	int ret;

	memcpy(&h, u->in, sizeof(h));
	ret = check_header(&h, UPCALL_CONNECT, err);
	if (ret)
		return ret;
	if (h.msg_size || h.msg_flags)
		return error_set(err, -EPROTO, "its CONNECT has a size or flags");
	memcpy(&a, u->in + UPCALL_EXT_OFFSET, sizeof(a));
	if (le32toh(a.magic) != UPCALL_EXT_MAGIC || !le32toh(a.version))
		return 0;
	u->features = le32toh(a.features);
	text_copy(u->module, sizeof(u->module), a.module, sizeof(a.module));
	text_copy(u->kernel, sizeof(u->kernel), a.kernel, sizeof(a.kernel));
	return 0;
}

int upcall_greet(struct upcall *u, int fd, deadline_t deadline, struct error *err)
{
	static const char service = UPCALL_SERVICE_DEVMGR;
	int ret;

	memset(u, 0, sizeof(*u));
	u->fd = fd;
	ret = io_write_full(fd, &service, 1, deadline, NULL);
	if (!ret)
		ret = io_read_full(fd, u->in, sizeof(u->in), deadline, NULL);
	if (ret == -EPIPE)
		ret = -ECONNRESET;
	if (ret)
		return give_up(u, error_set(err, ret,
					    "waiting for the device manager's CONNECT: "
					    "%s",
					    strerror(-ret)));
	ret = take_connect(u, err);
	return ret ? give_up(u, ret) : 0;
}

int upcall_open(struct upcall *u, const struct endpoint *ep, deadline_t deadline,
		struct error *err)
{
	int fd = endpoint_dial(ep, UPCALL_PORT, deadline, err);

	if (fd >= 0)
		return upcall_greet(u, fd, deadline, err);
	memset(u, 0, sizeof(*u));
	u->fd = -1;
	return fd;
}

void upcall_close(struct upcall *u)
{
	give_up(u, 0);
}

int upcall_send(struct upcall *u, enum upcall_type type, const void *payload,
		size_t len, size_t count, deadline_t deadline, struct error *err)
{
	uint8_t out[UPCALL_MSG_SIZE] = {0};
	struct upcall_header h = {
		.magic_version = htole32(UPCALL_MAGIC),
		.msg_size = htole32((uint32_t)len),
		.msg_type = htole32(type),
	};
	int ret;

	if (u->fd < 0 || u->pending)
		return error_set(err, -ENOTCONN, "no connection to the module");
	if (len > UPCALL_PAYLOAD_MAX)
		return error_set(err, -E2BIG, "a request of %zu bytes", len);
	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), payload, len);
	u->pending = true;
	u->type = type;
	u->count = count;
	u->got = 0;
	ret = io_write_full(u->fd, out, sizeof(out), deadline, NULL);
	if (ret)
		return give_up(u, error_set(err, ret == -EPIPE ? -ECONNRESET : ret,
					    "sending the request: %s", strerror(-ret)));
	return 0;
}

int upcall_send_cpu(struct upcall *u, enum upcall_type type, const uint8_t *apic_ids,
		    size_t count, deadline_t deadline, struct error *err)
{
	struct upcall_cpu payload = {0};

	if (!count || count >= UPCALL_CPU_MAX)
		return error_set(err, -E2BIG, "%zu CPUs in one request; 1 to %d can be",
				 count, UPCALL_CPU_MAX - 1);
	payload.count = (uint8_t)count;
	memcpy(payload.apic_ids, apic_ids, count);
	return upcall_send(u, type, &payload, sizeof(payload), count, deadline, err);
}

int upcall_send_cpu2(struct upcall *u, uint32_t flags,
		     const struct upcall_cpu2_entry *entries, size_t count,
		     deadline_t deadline, struct error *err)
{
	struct upcall_cpu2 payload = {0};

	if (!count || count > UPCALL_CPU2_MAX)
		return error_set(err, -E2BIG, "%zu CPUs in one request; 1 to %d can be",
				 count, UPCALL_CPU2_MAX);
	payload.count = htole32((uint32_t)count);
	payload.flags = htole32(flags);
	memcpy(payload.cpu, entries, count * sizeof(*entries));
	return upcall_send(u, UPCALL_DEL_CPU2, &payload,
			   offsetof(struct upcall_cpu2, cpu) + count * sizeof(*entries),
			   count, deadline, err);
}

static void take_detail(const struct upcall *u, struct upcall_result *result)
{
	struct upcall_detail d;

	memcpy(&d, u->in + UPCALL_EXT_OFFSET, sizeof(d));
	if (!(u->features & UPCALL_FEATURE_DETAIL) ||
	    le32toh(d.magic) != UPCALL_EXT_MAGIC)
		return;
	result->detailed = true;
	result->failed = le32toh(d.failed);
	result->rolled_back = le32toh(d.rolled_back);
	result->stuck = le32toh(d.stuck);
	result->kernel_ns = le64toh(d.kernel_ns);
	result->request = le64toh(d.request);
	result->total_ns = le64toh(d.total_ns);
	text_copy(result->reason, sizeof(result->reason), d.reason, sizeof(d.reason));
}

static uint32_t reply_size(uint32_t type)
{
	switch (type) {
	case UPCALL_ADD_CPU:
	case UPCALL_DEL_CPU:
	case UPCALL_ADD_CPU2:
	case UPCALL_DEL_CPU2:
		return sizeof(__le32);
	case UPCALL_LIST:
	case UPCALL_STATUS:
		return UPCALL_MSG_SIZE - offsetof(struct upcall_reply, apic_id_index);
	default:
		return 0;
	}
}

/*
 * The reference server answers an error with msg_size 0 and leaves what was in
 * its buffer behind it, so the count is believed only where msg_size covers it.
 */
static int take_count(const struct upcall *u, const struct upcall_reply *r,
		      struct upcall_result *result, struct error *err)
{
	if (r->header.msg_size)
		result->done = le32toh(r->apic_id_index);
	if (result->done > u->count)
		return error_set(err, -EPROTO, "it says %u of %zu CPUs are done",
				 result->done, u->count);
	if (!result->ret && result->done != u->count)
		return error_set(err, -EPROTO,
				 "it says all is well with %u of %zu CPUs done",
				 result->done, u->count);
	return 0;
}

static int take_reply(const struct upcall *u, struct upcall_result *result,
		      struct error *err)
{
	uint32_t size, due = reply_size(u->type);
	struct upcall_reply r;
	int ret;

	memcpy(&r, u->in, sizeof(r));
	ret = check_header(&r.header, u->type, err);
	if (ret)
		return ret;
	size = le32toh(r.header.msg_size);
	result->ret = (int32_t)le32toh(r.ret);
	if (size != due && (size || !result->ret))
		return error_set(err, -EPROTO, "a reply of %u bytes where %u are due",
				 size, due);
	ret = u->count ? take_count(u, &r, result, err) : 0;
	if (ret)
		return ret;
	take_detail(u, result);
	return 0;
}

const char *upcall_strerror(int32_t ret)
{
	return strerror(ret < 0 && ret > INT32_MIN ? -ret : ret);
}

int upcall_receive(struct upcall *u, struct upcall_result *result, deadline_t deadline,
		   struct error *err)
{
	size_t done = 0;
	int ret;

	memset(result, 0, sizeof(*result));
	result->failed = UINT32_MAX;
	if (u->fd < 0 || !u->pending)
		return error_set(err, -ENOTCONN, "no request is under way");
	ret = io_read_full(u->fd, u->in + u->got, sizeof(u->in) - u->got, deadline,
			   &done);
	u->got += done;
	if (ret == -ETIMEDOUT)
		return error_set(err, ret, "the guest's kernel has not answered");
	if (ret)
		return give_up(u, error_set(err, ret, "waiting for the reply: %s",
					    strerror(-ret)));
	u->pending = false;
	ret = take_reply(u, result, err);
	return ret ? give_up(u, ret) : 0;
}

int upcall_query(struct upcall *u, enum upcall_type type, uint32_t start, void *data,
		 size_t size, deadline_t deadline, struct error *err)
{
	struct upcall_query query = {.start = htole32(start)};
	struct upcall_result result;
	int ret = upcall_send(u, type, &query, sizeof(query), 0, deadline, err);

	if (!ret)
		ret = upcall_receive(u, &result, deadline, err);
	if (ret)
		return ret;
	if (result.ret)
		return error_set(err, -EREMOTEIO, "the guest refused the question: %s",
				 *result.reason ? result.reason
						: upcall_strerror(result.ret));
	memcpy(data, u->in + UPCALL_DATA_OFFSET,
	       size < UPCALL_DATA_SIZE ? size : UPCALL_DATA_SIZE);
	return 0;
}
