// SPDX-License-Identifier: Apache-2.0
#include "guest_info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "sysfile.h"

int guest_info_parse_meminfo(const char *text, const char *name, uint64_t *bytes)
{
	unsigned long long kib;
	size_t len = strlen(name);
	char *end;

	while (strncmp(text, name, len) || text[len] != ':') {
		text = strchr(text, '\n');
		if (!text)
			return -ENOENT;
		text++;
	}
	text += len + 1;
	text += strspn(text, " ");
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	kib = strtoull(text, &end, 10);
	if (errno || kib > UINT64_MAX / 1024 || strncmp(end, " kB\n", 4))
		return -EINVAL;
	*bytes = kib * 1024;
	return 0;
}

static int read_memory(const char *root, struct guest_info *info, struct error *err)
{
	char text[SYSFILE_MAX];
	int ret;

	ret = sysfile_read(root, "/proc/meminfo", text, sizeof(text), err);
	if (ret < 0)
		return ret;
	ret = guest_info_parse_meminfo(text, "MemTotal", &info->memory_total);
	if (ret < 0)
		return error_set(err, ret, "no MemTotal in %s/proc/meminfo", root);
	if (guest_info_parse_meminfo(text, "MemAvailable", &info->memory_available) < 0)
		info->memory_available = 0;
	return 0;
}

static int read_module(const char *root, struct guest_info *info, struct error *err)
{
	int ret = sysfile_read_line(root, "/sys/module/upcall/version",
				    info->module_version, sizeof(info->module_version),
				    err);

	return ret == -ENOENT ? 0 : ret;
}

int guest_info_read(const char *root, struct guest_info *info, struct error *err)
{
	struct timespec now;
	struct utsname names;
	int ret;

	memset(info, 0, sizeof(*info));
	if (uname(&names) < 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return error_set(err, -errno, "uname or clock_gettime: %s",
				 strerror(errno));
	agent_log_printable(names.release, info->names.release,
			    sizeof(info->names.release));
	agent_log_printable(names.nodename, info->names.nodename,
			    sizeof(info->names.nodename));
	info->uptime_nano = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	ret = guest_cpu_read(root, &info->cpus, err);
	if (!ret)
		ret = read_memory(root, info, err);
	if (!ret)
		ret = read_module(root, info, err);
	return ret;
}
