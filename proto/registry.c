/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool registry_name_valid(const char *name)
{
	size_t i;

	if (!isalnum((unsigned char)name[0]))
		return false;
	for (i = 0; name[i]; i++) {
		if (i == REGISTRY_NAME_MAX)
			return false;
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	}
	return true;
}

int registry_dir(char *buf, size_t size, struct error *err)
{
	const char *dir = getenv("VMCTL_RUN_DIR");
	const char *below = "";
	int n;

	if (!dir || !*dir) {
		dir = geteuid() ? getenv("XDG_RUNTIME_DIR") : "/run";
		below = "/vmctl";
		if (!dir || !*dir)
			dir = "/run";
	}
	n = snprintf(buf, size, "%s%s", dir, below);
	if (n < 0 || (size_t)n >= size)
		return error_set(err, -ENAMETOOLONG,
				 "the registry's path is too long: %s%s", dir, below);
	return 0;
}

int registry_path(const char *name, const char *file, char *buf, size_t size,
		  struct error *err)
{
	char dir[PATH_MAX];
	int n, ret;

	if (!registry_name_valid(name))
		return error_set(err, -EINVAL,
				 "'%s' cannot name a VM: letters, digits, '.', '_' and "
				 "'-' can, %d at most",
				 name, REGISTRY_NAME_MAX);
	ret = registry_dir(dir, sizeof(dir), err);
	if (ret)
		return ret;
	n = snprintf(buf, size, "%s/%s/%s", dir, name, file);
	if (n < 0 || (size_t)n >= size)
		return error_set(err, -ENAMETOOLONG,
				 "the path %s/%s/%s is too long (%zu bytes at most); "
				 "set VMCTL_RUN_DIR to a shorter one",
				 dir, name, file, size - 1);
	return 0;
}
