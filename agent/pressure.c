// SPDX-License-Identifier: Apache-2.0
#include "pressure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sysfile.h"

const char *const pressure_names[PRESSURE_COUNT] = {"cpu", "memory", "io"};

static int parse_line(const char *text, const char *kind, struct pressure_line *line)
{
	const char *at = strstr(text, kind);

	if (!at)
		return -ENOENT;
	if (sscanf(at + strlen(kind), " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64,
		   &line->avg10, &line->avg60, &line->avg300, &line->total_usec) != 4)
		return -EINVAL;
	return 0;
}

int pressure_read(const char *root, const char *name, struct pressure *pressure)
{
	char path[64], text[SYSFILE_MAX];
	int ret;

	memset(pressure, 0, sizeof(*pressure));
	snprintf(path, sizeof(path), "/proc/pressure/%s", name);
	ret = sysfile_read(root, path, text, sizeof(text), NULL);
	if (ret < 0)
		return ret;
	ret = parse_line(text, "some", &pressure->some);
	if (!ret && parse_line(text, "full", &pressure->full) == -EINVAL)
		ret = -EINVAL;
	return ret;
}
