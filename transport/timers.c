/* SPDX-License-Identifier: Apache-2.0 */
#include "timers.h"

#include <errno.h>
#include <stdlib.h>

#include "conn.h"

enum {
	TIMERS_MIN = 16
};

int timers_reserve(struct timers *timers, size_t count)
{
	size_t size = timers->size ? timers->size : TIMERS_MIN;
	struct conn **heap;

	while (size < count)
		size *= 2;
	if (size == timers->size)
		return 0;
	heap = realloc(timers->heap, size * sizeof(struct conn *));
	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	timers->size = size;
	return 0;
}

void timers_free(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

/* Places count from 1 on, so that 0 in a connection means none. */
static void put(struct timers *timers, size_t at, struct conn *conn)
{
	timers->heap[at - 1] = conn;
	conn->timer = (uint32_t)at;
}

/* A connection on its way up, or down, to its place from the empty one at. */
static void rise(struct timers *timers, size_t at, struct conn *conn)
{
	while (at > 1 && timers->heap[at / 2 - 1]->deadline > conn->deadline) {
		put(timers, at, timers->heap[at / 2 - 1]);
		at /= 2;
	}
	put(timers, at, conn);
}

static void sink(struct timers *timers, size_t at, struct conn *conn)
{
	for (;;) {
		size_t child = 2 * at;

		if (child < timers->count &&
		    timers->heap[child]->deadline < timers->heap[child - 1]->deadline)
			child++;
		if (child > timers->count ||
		    timers->heap[child - 1]->deadline >= conn->deadline)
			break;
		put(timers, at, timers->heap[child - 1]);
		at = child;
	}
	put(timers, at, conn);
}

static void place(struct timers *timers, size_t at, struct conn *conn)
{
	if (at > 1 && timers->heap[at / 2 - 1]->deadline > conn->deadline)
		rise(timers, at, conn);
	else
		sink(timers, at, conn);
}

void timers_remove(struct timers *timers, struct conn *conn)
{
	size_t at = conn->timer;
	struct conn *last;

	if (!at)
		return;
	conn->timer = 0;
	last = timers->heap[--timers->count];
	if (last != conn)
		place(timers, at, last);
}

void timers_settle(struct timers *timers, struct conn *conn)
{
	if (!conn->deadline)
		timers_remove(timers, conn);
	else if (conn->timer)
		place(timers, conn->timer, conn);
	else
		rise(timers, ++timers->count, conn);
}

struct conn *timers_first(const struct timers *timers)
{
	return timers->count ? timers->heap[0] : NULL;
}
