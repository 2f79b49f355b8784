// SPDX-License-Identifier: Apache-2.0
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static int write_all(int fd, const char *data, size_t len, mode_t mode)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	/* Whatever the umask is. */
	return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

int replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
		 struct error *err)
{
	cleanup_close int fd = -1;
	uint64_t number = 0;
	char other[300];
	int ret;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (uint64_t)getpid();
	snprintf(other, sizeof(other), ".%.200s.%016llx", name,
		 (unsigned long long)number);
	fd = openat(dir, other, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return error_set(err, -errno, "creating %s: %s", other,
				 strerror(errno));
	ret = write_all(fd, data, len, mode);
	if (!ret && renameat(dir, other, dir, name) < 0)
		ret = -errno;
	if (!ret)
		return 0;
	unlinkat(dir, other, 0);
	return error_set(err, ret, "writing %s: %s", name, strerror(-ret));
}
