/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vsock endpoint whose guest takes each connection, whichever port it is for, and
 * then does one thing to it, in a process for each.
 */
#ifndef HOSTILE_GUEST_H
#define HOSTILE_GUEST_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ttrpc.h"
#include "unit.h"
#include "upcall_wire.h"

enum hostility {
	SILENT,	  /* reads what comes, and says nothing */
	CLOSING,  /* closes at once */
	GARBAGE,  /* sends bytes that are no message */
	FLOODING, /* sends messages without an end: the module's greeting, or empty ones
		     of the stream that was asked for, or of none that was */
	HOSTILITIES,
};

static pid_t hostile_pid;

static void hostile_swallow(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* Until the other end has gone. */
static void hostile_repeat(int fd, const void *bytes, size_t len)
{
	while (send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len)
		;
}

static void hostile_flood_module(int fd)
{
	uint8_t greeting[UPCALL_MSG_SIZE] = {0};
	/* What would make something in QEMU, for the verbs behind it to find, is not
	 * to be had. */
	uint32_t features = ~(UPCALL_FEATURE_PCI | UPCALL_FEATURE_MEM);
	const uint32_t words[] = {UPCALL_MAGIC, 0, 0},
		       more[] = {UPCALL_EXT_MAGIC, 1, features};

	/* Little-endian, as every machine that runs this. */
	memcpy(greeting, words, sizeof(words));
	memcpy(greeting + 0x40, more, sizeof(more));
	hostile_repeat(fd, greeting, sizeof(greeting));
}

/* The frames answer the first request, whatever it is. */
static void hostile_flood_agent(int fd)
{
	struct ttrpc_header h = {.type = TTRPC_DATA};
	uint8_t header[TTRPC_HEADER_SIZE], frames[1024 * TTRPC_HEADER_SIZE];

	if (recv(fd, header, sizeof(header), MSG_WAITALL) != sizeof(header))
		return;
	ttrpc_header_decode(header, &h);
	h.type = TTRPC_DATA;
	h.flags = 0;
	h.length = 0;
	for (size_t i = 0; i < sizeof(frames); i += TTRPC_HEADER_SIZE)
		ttrpc_header_encode(&h, frames + i);
	hostile_repeat(fd, frames, sizeof(frames));
}

static void hostile_treat(int fd, enum hostility how, unsigned int port)
{
	static const char garbage[1 << 16] =
		"\x01\x02\xfe\xff not a message of anybody";

	switch (how) {
	case CLOSING:
	case HOSTILITIES:
		break;
	case GARBAGE:
		send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
		hostile_swallow(fd);
		break;
	case FLOODING:
		if (port == 219)
			hostile_flood_module(fd);
		else
			hostile_flood_agent(fd);
		break;
	case SILENT:
		hostile_swallow(fd);
		break;
	}
}

static void hostile_serve(int listener, enum hostility how)
{
	/* A test that fails half-way leaves nobody behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		unsigned int port;
		char line[64];
		size_t n = 0;

		if (fd >= 0 && !fork()) {
			while (n + 1 < sizeof(line) && read(fd, line + n, 1) == 1 &&
			       line[n] != '\n')
				n++;
			line[n] = '\0';
			if (sscanf(line, "CONNECT %u", &port) == 1 &&
			    send(fd, "OK 1024\n", 8, MSG_NOSIGNAL) == 8)
				hostile_treat(fd, how, port);
			_exit(0);
		}
		close(fd);
	}
}

/* Serves DIR/vsock.sock. */
static void hostile_start(const char *dir, enum hostility how)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/vsock.sock", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 64), 0);
	fflush(NULL);
	hostile_pid = fork();
	assert_true(hostile_pid >= 0);
	if (!hostile_pid)
		hostile_serve(fd, how);
	close(fd);
}

static void hostile_stop(const char *dir)
{
	char path[128];

	kill(hostile_pid, SIGKILL);
	waitpid(hostile_pid, NULL, 0);
	snprintf(path, sizeof(path), "%.90s/vsock.sock", dir);
	unlink(path);
}

#endif
