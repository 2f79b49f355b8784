/* SPDX-License-Identifier: Apache-2.0 */
#include "event.h"

#include <endian.h>
#include <errno.h>

#include "iov.h"

enum {
	PIECES_MAX = 8, /* for four bytes, in however many regions */
};

int event_put(struct vring *ring, struct memory *memory, enum event_id id,
	      struct error *err)
{
	uint32_t event = htole32(id);
	struct iovec iov[PIECES_MAX];
	struct vring_chain chain;
	int ret = vring_pop(ring, memory, iov, PIECES_MAX, &chain, err);

	if (ret == 0 && vring_wait(ring))
		ret = vring_pop(ring, memory, iov, PIECES_MAX, &chain, err);
	if (ret <= 0)
		return ret;
	if (chain.write_len < sizeof(event)) {
		vring_unpop(ring, 1);
		return error_set(err, -EINVAL, "an event buffer of %zu bytes",
				 chain.write_len);
	}
	iov_write(chain.iov + chain.n_read, chain.n_write, 0, &event, sizeof(event));
	vring_push(ring, &chain, sizeof(event));
	vring_commit(ring);
	return 1;
}
