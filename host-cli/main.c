/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "status.h"
#include "verbs.h"

/*
 * A caller may have closed 0, 1 or 2. A socket would then get that number, and
 * QEMU or the guest what is meant for a terminal.
 */
static int fill_standard_fds(void)
{
	int fd = 0;

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
	return fd;
}

int main(int argc, char **argv)
{
	/* A reader of our output that goes must not kill us between two states. */
	signal(SIGPIPE, SIG_IGN);
	if (fill_standard_fds() < 0)
		return STATUS_FAILURE;
	return verbs_run(argc, argv);
}
