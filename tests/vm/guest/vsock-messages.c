// SPDX-License-Identifier: Apache-2.0
/*
 * SOCK_SEQPACKET over vsock, from inside a guest:
 *
 *   vsock-messages echo PORT             sends each message back, connection after
 *                                        connection; says "listening" first
 *   vsock-messages check CID PORT COUNT  sends messages of odd sizes, several before it
 *                                        reads, and wants each back as it was
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "test_guest.h"

enum {
	LONGEST = 100000,
	AHEAD = 8, /* messages sent before the first is read */
};

static char sent[LONGEST], got[LONGEST + 1];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(struct sockaddr_vm *addr, unsigned int cid, const char *port)
{
	int fd;

	want_test_guest();
	fd = socket(AF_VSOCK, SOCK_SEQPACKET, 0);
	if (fd < 0)
		die("socket");
	*addr = (struct sockaddr_vm){.svm_family = AF_VSOCK,
				     .svm_cid = cid,
				     .svm_port = strtoul(port, NULL, 10)};
	return fd;
}

__attribute__((noreturn)) static void echo(const char *port)
{
	struct sockaddr_vm addr;
	int listener = open_socket(&addr, VMADDR_CID_ANY, port);

	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 8))
		die("listen");
	puts("listening");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept");
		while ((n = recv(fd, got, sizeof(got), 0)) > 0) {
			if (send(fd, got, n, MSG_NOSIGNAL) != n)
				break;
		}
		close(fd);
	}
}

static size_t size_of(unsigned long i)
{
	return i % 5 ? 1 + i * 7919 % 5000 : 1 + i * 104729 % LONGEST;
}

static void fill(unsigned long i)
{
	for (size_t at = 0; at < size_of(i); at++)
		sent[at] = (char)((at + i) * 2654435761u >> 24);
}

static int check(unsigned int cid, const char *port, unsigned long count)
{
	struct sockaddr_vm addr;
	int fd = open_socket(&addr, cid, port);
	unsigned long out = 0, in = 0;

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect");
	while (in < count) {
		size_t size = size_of(out);

		if (out < count && out - in < AHEAD) {
			fill(out++);
			if (send(fd, sent, size, MSG_NOSIGNAL) != (ssize_t)size)
				die("send");
			continue;
		}
		size = size_of(in);
		fill(in);
		if (recv(fd, got, sizeof(got), 0) != (ssize_t)size ||
		    memcmp(got, sent, size)) {
			fprintf(stderr, "message %lu is not what it was\n", in);
			return 1;
		}
		in++;
	}
	printf("%lu messages\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "echo"))
		echo(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "check"))
		return check(strtoul(argv[2], NULL, 10), argv[3],
			     strtoul(argv[4], NULL, 10));
	fputs("usage: vsock-messages echo PORT | check CID PORT COUNT\n", stderr);
	return 2;
}
