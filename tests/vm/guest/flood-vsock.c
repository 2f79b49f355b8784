// SPDX-License-Identifier: Apache-2.0
/*
 * flood-vsock PORT: as a user without any right, connects to a port of the guest
 * itself, over loopback, many times at once and as fast as it can, until its standard
 * input ends. For test guests only: it does nothing where the kernel's command line
 * does not name one.
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 900
#define NOBODY	65534

static int is_test_guest(void)
{
	char line[4096] = "";
	FILE *file = fopen("/proc/cmdline", "r");

	if (!file || !fgets(line, sizeof(line), file))
		return 0;
	fclose(file);
	return strstr(line, "vmctl.name=") != NULL;
}

static int start_one(unsigned int port)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		connect(fd, (struct sockaddr *)&address, sizeof(address));
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	static int fds[AT_ONCE];
	int i;

	if (argc != 2 || !is_test_guest()) {
		fputs("usage: flood-vsock PORT, in a test guest\n", stderr);
		return 2;
	}
	if (setgid(NOBODY) || setuid(NOBODY)) {
		perror("flood-vsock: setuid");
		return 1;
	}
	while (!poll(&input, 1, 0)) {
		for (i = 0; i < AT_ONCE; i++)
			fds[i] = start_one((unsigned int)atoi(argv[1]));
		for (i = 0; i < AT_ONCE; i++)
			close(fds[i]);
	}
	return 0;
}
