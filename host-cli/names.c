/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "registry.h"

static int is_vm(const struct dirent *d)
{
	return registry_name_valid(d->d_name);
}

int names_read(struct names *names, struct error *err)
{
	struct dirent **found;
	char dir[PATH_MAX];
	int i, n, ret;

	memset(names, 0, sizeof(*names));
	ret = registry_dir(dir, sizeof(dir), err);
	if (ret)
		return ret;
	n = scandir(dir, &found, is_vm, alphasort);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return error_set(err, -errno, "reading the registry %s: %s", dir,
				 strerror(errno));
	names->name = calloc((size_t)n + 1, sizeof(*names->name));
	for (i = 0; i < n; i++) {
		if (names->name)
			names->name[names->count] = strdup(found[i]->d_name);
		if (names->name && names->name[names->count])
			names->count++;
		free(found[i]);
	}
	free(found);
	if (names->count != (size_t)n)
		return error_set(err, -ENOMEM, "no memory for %d names", n);
	return 0;
}

void names_free(struct names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
	memset(names, 0, sizeof(*names));
}
