/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue from the device's side, split or packed (virtio 1.2, sections 2.7
 * and 2.8), over memory that the guest writes at any time. What is read is read
 * once and checked; a ring that breaks the rules gives an error and is not to be
 * used any further.
 *
 * Chains are taken in order and given back in order. Between the two nothing is
 * published, so that what was taken and not used can be put back. A batch is seen
 * by the guest as a whole or not at all and costs at most one interrupt; where a
 * ring stands is therefore known even when this process was killed in between.
 */
#ifndef TRANSPORT_VRING_H
#define TRANSPORT_VRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dirty_log.h"
#include "error.h"
#include "inflight.h"
#include "memory.h"

enum {
	VRING_NUM_MAX = 32768,	/* entries; the specification's limit */
	VRING_CHAIN_MAX = 1024, /* descriptors in one chain */
	VRING_PIECES_MAX =
		1024,	       /* pieces of memory of one chain, as readv takes them */
	VRING_BATCH_MAX = 256, /* a longer batch of a packed ring is two */
};

/* Feature bits that matter here (virtio 1.2, section 6). */
#define VRING_F_INDIRECT_DESC (1ULL << 28)
#define VRING_F_EVENT_IDX     (1ULL << 29)
#define VRING_F_PACKED	      (1ULL << 34)

struct vring_desc {
	uint64_t addr; /* guest physical, little-endian as all of these */
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

enum {
	VRING_DESC_NEXT = 1,
	VRING_DESC_WRITE = 2,
	VRING_DESC_INDIRECT = 4,
	VRING_AVAIL_NO_INTERRUPT = 1, /* avail flags */
	VRING_USED_NO_NOTIFY = 1,     /* used flags */
};

struct vring_used_elem {
	uint32_t id;
	uint32_t len;
};

struct vring_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/* Flags of a packed ring's descriptor besides the above. */
enum {
	VRING_PACKED_AVAIL = 1 << 7,
	VRING_PACKED_USED = 1 << 15,
};

/* What a side of a packed ring wants to hear of (virtio 1.2, 2.8.14). */
struct vring_event {
	uint16_t place; /* bit 15: the wrap counter */
	uint16_t flags;
};

enum {
	VRING_EVENT_ENABLE,
	VRING_EVENT_DISABLE,
	VRING_EVENT_PLACE,
};

/*
 * Where a packed ring stands, and what is needed to finish a batch whose
 * publication was cut short. In memory that outlives this process it makes
 * vring_resume() possible. (A split ring has all that in the guest's memory.)
 */
struct vring_record {
	uint32_t state; /* the used position, and entries of the batch << 16 */
	struct {
		uint32_t len;
		uint16_t id, descs;
	} entry[VRING_BATCH_MAX];
};

struct vring_split {
	const struct vring_desc *desc;
	uint16_t *avail; /* flags, idx, ring[num], used_event */
	uint16_t *used;	 /* flags, idx, then elements, then avail_event */
	struct vring_used_elem *used_ring;
	uint16_t next_avail;   /* the next chain to take */
	uint16_t seen_avail;   /* the guest's index as last read */
	uint16_t next_used;    /* where the next chain given back goes */
	uint16_t told_used;    /* the index as published */
	uint16_t signalled_at; /* index when the guest's wish was last looked at */
};

/* A place in a packed ring: the wrap counter says in which of two laps. */
struct vring_place {
	uint16_t at;
	bool wrap;
};

struct vring_packed {
	struct vring_packed_desc *desc;
	const struct vring_event *driver;
	struct vring_event *device;
	struct vring_place next; /* the next chain to take */
	struct vring_place used; /* up to here it is given back and published */
	/* Of each chain taken and not given back: its descriptors, its entry of what
	 * is in flight. */
	uint16_t *taken, *entry;
	uint16_t first_taken, chains_taken;
	uint32_t descs_taken;
	uint16_t batch_entry[VRING_BATCH_MAX];
	uint16_t batch;		     /* chains given back and not published */
	uint32_t since;		     /* descriptors published since the commit */
	uint16_t told_flags;	     /* as last written to device */
	struct vring_record *record; /* the ring's, or our own */
	struct vring_record *own;
};

struct vring {
	/* As the front-end sets it. */
	uint32_t num;
	/* Of a packed ring: the descriptors, the driver's and the device's area. */
	uint64_t desc_user, avail_user, used_user;
	uint32_t base; /* where it stands while it is stopped: vring_position() */
	bool has_base;
	uint64_t log_guest; /* the used part's address in the log of dirty pages */
	bool log_used;	    /* VHOST_VRING_F_LOG: that part is logged, too */
	int kick_fd, call_fd, err_fd; /* -1: none. Owned. */
	bool enabled;
	struct dirty_log *log;	       /* NULL: writes are not logged */
	union inflight_ring *inflight; /* NULL: nobody keeps what is in flight */
	struct vring_record *record;   /* the caller's; may be NULL */

	/* While it is started. */
	bool started;
	bool is_packed, event_idx, indirect;
	uint64_t inflight_counter;
	bool signalled; /* since the start the guest's wish was followed once */
	struct vring_split split;
	struct vring_packed packed;
};

/* A chain that was taken: iov[0..n_read) to be read, then n_write to be written. */
struct vring_chain {
	uint16_t head; /* of a packed ring: the buffer's id */
	size_t n_read, n_write;
	size_t read_len, write_len; /* bytes */
	struct iovec *iov;
};

void vring_init(struct vring *ring);
/* Closes the descriptors and forgets everything but where its record is. */
void vring_reset(struct vring *ring);

/*
 * Finds the three parts of the ring in memory. To be called before the ring runs
 * and again when the memory has changed. Negative errno.
 */
int vring_resolve(struct vring *ring, const struct memory *memory, struct error *err);

/* Resolves, begins where base says, and may then be taken from. Negative errno. */
int vring_start(struct vring *ring, const struct memory *memory, uint64_t features,
		struct error *err);
/*
 * The same for a ring that another process ran, of which this one has the record:
 * goes on behind the last chain that was given back, finishing a batch that was
 * being published, and interrupts the guest, which may not have been told. Where the
 * ring's memory is away just now, it stands at its base until vring_resolve().
 */
int vring_resume(struct vring *ring, const struct memory *memory, uint64_t features,
		 struct error *err);
void vring_stop(struct vring *ring);

/* From now on what is written is logged, or (NULL) not. */
void vring_set_log(struct vring *ring, struct dirty_log *log);

/* What was in flight is of no interest to the next process. */
void vring_forget_inflight(struct vring *ring);

/*
 * Where the ring stands, as vhost-user's VRING_BASE has it: a split ring's index
 * of the next chain; a packed ring's place of the next chain (bits 0 to 14, 15 is
 * the wrap counter), and the used one in the upper half.
 */
uint32_t vring_position(const struct vring *ring);

/*
 * Its memory is gone: a started ring is not to be worked on until vring_resolve()
 * finds it again.
 */
void vring_suspend(struct vring *ring);
/* Whether it is started and its memory is there. */
bool vring_is_resolved(const struct vring *ring);

/*
 * Takes the next chain; its pieces are put into iov. 1 and a chain, 0 when there
 * is none, -ENOBUFS when max pieces do not suffice (nothing is taken then; a
 * caller that gave VRING_PIECES_MAX may take it for an error), any other negative
 * errno when the ring is broken.
 */
int vring_pop(struct vring *ring, struct memory *memory, struct iovec *iov, size_t max,
	      struct vring_chain *chain, struct error *err);

/* Puts the count chains taken last, and not given back, where they were. */
void vring_unpop(struct vring *ring, unsigned int count);

/*
 * Gives a chain back, of which the first len bytes to be written were. The chain's
 * iov must still be as it was. The guest sees it with vring_commit().
 */
void vring_push(struct vring *ring, const struct vring_chain *chain, uint32_t len);

/* Publishes what was given back and interrupts the guest if it wants that. */
void vring_commit(struct vring *ring);

/*
 * Asks to be kicked for the next chain. True when there is one already, which
 * then comes without a kick.
 */
bool vring_wait(struct vring *ring);
/* Asks not to be kicked. */
void vring_quiet(struct vring *ring);

/* Interrupts the guest, whether it wants that or not. */
void vring_interrupt(struct vring *ring);

/* Tells the front-end that the ring is broken. */
void vring_signal_error(struct vring *ring);

#endif
