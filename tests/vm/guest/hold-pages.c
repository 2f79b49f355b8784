// SPDX-License-Identifier: Apache-2.0
/*
 * hold-pages MIB: fills that much memory and keeps references to pages all over it in
 * a pipe, so that the kernel cannot move them. Prints "holding", and goes on until its
 * standard input ends.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE  4096
#define PAGES 16 /* that a pipe has room for */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	struct iovec page = {.iov_len = PAGE};
	int ends[2], i;
	char *memory, byte;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED || pipe(ends))
		die("hold-pages");
	memset(memory, 0x5a, size);
	for (i = 0; i < PAGES; i++) {
		page.iov_base = memory + size / PAGES * i;
		if (vmsplice(ends[1], &page, 1, 0) != PAGE)
			die("vmsplice");
	}
	puts("holding");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
