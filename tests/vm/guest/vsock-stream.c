// SPDX-License-Identifier: Apache-2.0
/*
 * One end of stream connections, for tests: vsock inside a guest, Unix on the host.
 *
 *   vsock-stream data BYTES SEED           writes what "send" sends
 *   vsock-stream listen ADDRESS ACTION...  takes one connection; says "listening" first
 *   vsock-stream connect ADDRESS ACTION...
 *   vsock-stream echo ADDRESS              sends back what it gets, on many connections
 *   vsock-stream many ADDRESS COUNT        opens as many at once, wants of each what it
 *                                          sent there, says "open" and keeps them until
 *                                          it is killed
 *
 * ADDRESS: to listen, PORT or PATH; to connect, CID:PORT or PATH:PORT, where PATH is
 * the socket that takes CONNECT lines.
 *
 * The actions, one after the other:
 *
 *   send:BYTES:SEED:SIZE  bytes that follow from SEED, in writes of SIZE; "odd": of all
 *                         sizes
 *
 *   end                   no more is sent
 *
 *   receive[:BYTES]       so many, or all there are, to standard output
 *
 *   both:BYTES:SEED:SIZE  send and end, and receive at the same time
 *
 *   stop                  until SIGCONT
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "test_guest.h"

enum {
	LONGEST = 256 * 1024, /* write */
	SMALL = 4096,
	MANY = 4000,
	PATIENCE = 300, /* seconds without a byte */
};

union address {
	struct sockaddr any;
	struct sockaddr_vm vm;
	struct sockaddr_un un;
};

static char buffer[LONGEST];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "vsock-stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((noreturn)) static void usage(void)
{
	fputs("usage: vsock-stream data BYTES SEED | listen ADDRESS ACTION... | "
	      "connect ADDRESS ACTION... | echo ADDRESS | many ADDRESS COUNT\n",
	      stderr);
	exit(2);
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text || *end || value > max)
		usage();
	return value;
}

/* Eight bytes follow from the seed and from where they stand: none can be lost, doubled
 * or exchanged for others unseen. */
static uint64_t word_at(uint64_t seed, uint64_t index)
{
	uint64_t z = (seed << 40) + (index + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void fill(char *to, size_t size, uint64_t seed, uint64_t at)
{
	while (size) {
		uint64_t word = word_at(seed, at / 8);
		size_t skip = at % 8, n = 8 - skip < size ? 8 - skip : size;

		memcpy(to, (char *)&word + skip, n);
		to += n;
		at += n;
		size -= n;
	}
}

/* Half of them short ones. */
static size_t odd_size(void)
{
	return 1 + (size_t)rand() % (rand() % 2 ? 5000 : 200000);
}

static void put(int fd, const char *from, size_t size)
{
	while (size) {
		ssize_t n = write(fd, from, size);

		if (n < 0)
			die("write");
		from += n;
		size -= (size_t)n;
	}
}

/* Puts the data into a socket or standard output. */
static void generate(int fd, uint64_t bytes, uint64_t seed, size_t size)
{
	uint64_t at = 0;

	srand((unsigned int)seed);
	while (at < bytes) {
		size_t n = size ? size : odd_size();

		if (n > bytes - at)
			n = (size_t)(bytes - at);
		fill(buffer, n, seed, at);
		put(fd, buffer, n);
		at += n;
	}
}

static void send_as_told(int fd, char *words)
{
	const char *bytes = strsep(&words, ":"), *seed = strsep(&words, ":");
	size_t size = 0;

	if (!bytes || !seed || !words)
		usage();
	if (strcmp(words, "odd") != 0)
		size = number(words, LONGEST);
	generate(fd, number(bytes, UINT64_MAX), number(seed, UINT32_MAX), size);
}

/* All that comes, or a part of it that must come. */
static void receive(int fd, uint64_t wanted)
{
	bool all = wanted == UINT64_MAX;

	while (wanted) {
		ssize_t n = recv(fd, buffer, wanted < LONGEST ? wanted : LONGEST, 0);

		if (n < 0)
			die("receive");
		if (n == 0 && all)
			return;
		if (n == 0) {
			fputs("vsock-stream: that was too little\n", stderr);
			exit(1);
		}
		put(STDOUT_FILENO, buffer, (size_t)n);
		wanted -= (uint64_t)n;
	}
}

static void end(int fd)
{
	if (shutdown(fd, SHUT_WR))
		die("shutdown");
}

static void do_both(int fd, char *words)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		die("fork");
	if (child == 0) {
		send_as_told(fd, words);
		end(fd);
		_exit(0);
	}
	receive(fd, UINT64_MAX);
	if (waitpid(child, &status, 0) != child || status)
		exit(1);
}

static void act(int fd, char *words)
{
	const char *verb = strsep(&words, ":");

	if (!strcmp(verb, "send") && words)
		send_as_told(fd, words);
	else if (!strcmp(verb, "both") && words)
		do_both(fd, words);
	else if (!strcmp(verb, "receive"))
		receive(fd, words ? number(words, UINT64_MAX - 1) : UINT64_MAX);
	else if (!strcmp(verb, "end") && !words)
		end(fd);
	else if (!strcmp(verb, "stop") && !words)
		raise(SIGSTOP);
	else
		usage();
}

static const struct timeval patience = {.tv_sec = PATIENCE};

static void set_patience(int fd)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		die("patience");
}

/* A Unix socket where there is a path. */
static int new_socket(union address *addr, const char *path, const char *cid,
		      const char *port, socklen_t *len)
{
	int fd;

	memset(addr, 0, sizeof(*addr));
	if (path) {
		addr->un.sun_family = AF_UNIX;
		if (strlen(path) >= sizeof(addr->un.sun_path))
			usage();
		strcpy(addr->un.sun_path, path);
		*len = sizeof(addr->un);
	} else {
		want_test_guest();
		addr->vm.svm_family = AF_VSOCK;
		addr->vm.svm_cid =
			cid ? (uint32_t)number(cid, UINT32_MAX) : VMADDR_CID_ANY;
		addr->vm.svm_port = (uint32_t)number(port, UINT32_MAX);
		*len = sizeof(addr->vm);
	}
	fd = socket(addr->any.sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	set_patience(fd);
	return fd;
}

static int listen_at(const char *where)
{
	union address addr;
	socklen_t len;
	int fd = new_socket(&addr, where[0] == '/' ? where : NULL, NULL, where, &len);

	if (bind(fd, &addr.any, len) || listen(fd, MANY))
		die("listen");
	fputs("listening\n", stderr);
	return fd;
}

static int accept_one(const char *where)
{
	int listener = listen_at(where), fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	close(listener);
	if (where[0] == '/')
		unlink(where);
	set_patience(fd);
	return fd;
}

/* Asks for a connection; a Unix socket's answer is yet to come. */
static int begin_connecting(const char *where)
{
	char words[128], *port = words, *to;
	union address addr;
	socklen_t len;
	int fd;

	snprintf(words, sizeof(words), "%s", where);
	to = strsep(&port, ":");
	if (!port)
		usage();
	fd = new_socket(&addr, to[0] == '/' ? to : NULL, to, port, &len);
	/* One that does not block keeps its socket for all of that time (af_vsock.c).
	 */
	if (addr.any.sa_family == AF_VSOCK &&
	    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience,
		       sizeof(patience)))
		die("socket");
	if (connect(fd, &addr.any, len))
		die("connect");
	if (addr.any.sa_family == AF_UNIX && dprintf(fd, "CONNECT %s\n", port) < 0)
		die("connect");
	return fd;
}

/* Unix sockets get a line as the answer. */
static void end_connecting(int fd)
{
	char byte = 0, first = 0;

	for (; byte != '\n'; first = first ? first : byte)
		if (recv(fd, &byte, 1, 0) != 1)
			die("connect: no answer");
	if (first != 'O')
		die("connect: no OK");
}

static int connect_to(const char *where)
{
	int fd = begin_connecting(where);

	if (where[0] == '/')
		end_connecting(fd);
	return fd;
}

struct client {
	size_t start, len; /* what has yet to be sent back */
	char bytes[SMALL];
};

/* False when it has ended. */
static bool send_back(struct pollfd *watched, struct client *client)
{
	ssize_t n;

	if (!client->len) {
		n = recv(watched->fd, client->bytes, SMALL, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		client->start = 0;
		client->len = (size_t)n;
	}
	n = send(watched->fd, client->bytes + client->start, client->len, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN)
		return false;
	if (n > 0) {
		client->start += (size_t)n;
		client->len -= (size_t)n;
	}
	watched->events = client->len ? POLLOUT : POLLIN;
	return true;
}

__attribute__((noreturn)) static void echo(const char *where)
{
	static struct pollfd watched[MANY + 1];
	static struct client *clients[MANY + 1];
	nfds_t count = 1;

	watched[0] = (struct pollfd){.fd = listen_at(where), .events = POLLIN};
	fcntl(watched[0].fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		int fd;

		if (poll(watched, count, -1) < 0)
			die("poll");
		for (nfds_t i = count - 1; i > 0; i--) {
			if (!watched[i].revents || send_back(&watched[i], clients[i]))
				continue;
			close(watched[i].fd);
			free(clients[i]);
			watched[i] = watched[--count];
			clients[i] = clients[count];
		}
		while (count <= MANY && (fd = accept(watched[0].fd, NULL, NULL)) >= 0) {
			clients[count] = calloc(1, sizeof(struct client));
			if (!clients[count])
				die("memory");
			watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
		}
	}
}

static size_t size_of(size_t i)
{
	return 1 + i * 37 % SMALL;
}

__attribute__((noreturn)) static void many(const char *where, size_t count)
{
	static int fds[MANY];
	char bytes[SMALL];

	for (size_t i = 0; i < count; i++)
		fds[i] = begin_connecting(where);
	for (size_t i = 0; i < count; i++)
		if (where[0] == '/')
			end_connecting(fds[i]);
	for (size_t i = 0; i < count; i++) {
		fill(bytes, size_of(i), i, 0);
		put(fds[i], bytes, size_of(i));
	}
	for (size_t i = 0; i < count; i++) {
		fill(bytes, size_of(i), i, 0);
		if (recv(fds[i], buffer, size_of(i), MSG_WAITALL) !=
			    (ssize_t)size_of(i) ||
		    memcmp(buffer, bytes, size_of(i)) != 0)
			die("others came back");
	}
	puts("open");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	struct rlimit files;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!strcmp(verb, "data") && argc == 4) {
		generate(STDOUT_FILENO, number(argv[2], UINT64_MAX),
			 number(argv[3], UINT32_MAX), LONGEST);
		return 0;
	}
	if (!strcmp(verb, "echo") && argc == 3)
		echo(argv[2]);
	if (!strcmp(verb, "many") && argc == 4)
		many(argv[2], number(argv[3], MANY));
	if (!strcmp(verb, "listen"))
		fd = accept_one(argv[2]);
	else if (!strcmp(verb, "connect"))
		fd = connect_to(argv[2]);
	else
		usage();
	for (int i = 3; i < argc; i++)
		act(fd, argv[i]);
	return 0;
}
