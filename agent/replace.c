// SPDX-License-Identifier: Apache-2.0
#include "replace.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "new_file.h"

int replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
		 struct error *err)
{
	struct new_file file;
	int ret;

	new_file_init(&file, dir, name, false);
	ret = new_file_create(&file);
	if (!ret)
		ret = io_pwrite_full(file.fd, data, len, 0);
	/* Whatever the umask is. */
	if (!ret && fchmod(file.fd, mode) < 0)
		ret = -errno;
	if (!ret)
		ret = new_file_finish(&file);
	new_file_close(&file, false);
	return ret ? error_set(err, ret, "writing %s: %s", name, strerror(-ret)) : 0;
}
