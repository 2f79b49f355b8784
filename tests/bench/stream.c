/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"
#include "pattern.h"

static void run_reader(struct task *task)
{
	struct stream *s = task->arg;
	struct iovec iov[STREAM_PIECES_MAX];
	uint8_t *buf = aligned_alloc(4096, STREAM_PIECES_MAX * STREAM_HOST_PIECE);
	ssize_t n;

	if (!buf)
		die("out of memory");
	for (unsigned int i = 0; i < s->pieces; i++)
		iov[i] = (struct iovec){buf + i * STREAM_HOST_PIECE, s->size};
	while ((n = readv(s->fd, iov, (int)s->pieces)) > 0) {
		if (s->verify)
			pattern_check_iov(iov, (size_t)n, s->at + task_bytes(task),
					  "at the reading program");
		task_add(task, (uint64_t)n);
	}
	if (n < 0)
		die_errno("cannot read from a connection");
	free(buf);
}

static void run_writer(struct task *task)
{
	struct stream *s = task->arg;
	uint8_t *buf = aligned_alloc(4096, 1 << 16);

	if (!buf)
		die("out of memory");
	memset(buf, 0x5a, 1 << 16);
	while (!task_stops(task)) {
		size_t done = 0;

		if (s->verify)
			pattern_fill(buf, s->size, s->at + task_bytes(task));
		while (done < s->size) {
			ssize_t n =
				send(s->fd, buf + done, s->size - done, MSG_NOSIGNAL);

			if (n < 0)
				die_errno("cannot write to a connection");
			done += (size_t)n;
		}
		task_add(task, s->size);
	}
	free(buf);
}

void stream_read(struct stream *s, int cpu)
{
	task_start(&s->task, run_reader, s, cpu);
}

void stream_write(struct stream *s, int cpu)
{
	task_start(&s->task, run_writer, s, cpu);
}
