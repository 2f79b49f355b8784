// SPDX-License-Identifier: Apache-2.0
#include "guest_cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sysfile.h"

#define CPU_DIR	     "/sys/devices/system/cpu"
#define BUSY_TRIES   100
#define BUSY_WAIT_NS 50000000

/* A decimal number at *text, which moves behind it. */
static int parse_number(const char **text, uint32_t *number)
{
	unsigned long value;
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno || value >= GUEST_CPU_MAX)
		return -ERANGE;
	*text = end;
	*number = value;
	return 0;
}

int guest_cpu_parse(const char *text, struct guest_cpu_mask *mask)
{
	uint32_t first, last;
	int ret;

	memset(mask, 0, sizeof(*mask));
	if (!*text || !strcmp(text, "\n"))
		return 0;
	for (;;) {
		ret = parse_number(&text, &first);
		last = first;
		if (!ret && *text == '-') {
			text++;
			ret = parse_number(&text, &last);
		}
		if (ret)
			return ret;
		if (last < first)
			return -EINVAL;
		for (uint32_t cpu = first; cpu <= last; cpu++)
			mask->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
		if (!*text || !strcmp(text, "\n"))
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
}

bool guest_cpu_test(const struct guest_cpu_mask *mask, uint32_t cpu)
{
	return cpu < GUEST_CPU_MAX && mask->bits[cpu / 64] >> cpu % 64 & 1;
}

unsigned int guest_cpu_count(const struct guest_cpu_mask *mask)
{
	unsigned int count = 0;

	for (size_t i = 0; i < GUEST_CPU_MAX / 64; i++)
		count += __builtin_popcountll(mask->bits[i]);
	return count;
}

static int read_mask(const char *root, const char *path, struct guest_cpu_mask *mask,
		     struct error *err)
{
	char text[SYSFILE_MAX];
	int ret = sysfile_read(root, path, text, sizeof(text), err);

	if (ret < 0)
		return ret;
	ret = guest_cpu_parse(text, mask);
	if (ret < 0)
		return error_set(err, ret, "%s%s is no list of CPUs below %d", root,
				 path, GUEST_CPU_MAX);
	return 0;
}

int guest_cpu_read(const char *root, struct guest_cpus *cpus, struct error *err)
{
	int ret;

	ret = read_mask(root, CPU_DIR "/possible", &cpus->possible, err);
	if (!ret)
		ret = read_mask(root, CPU_DIR "/present", &cpus->present, err);
	if (!ret)
		ret = read_mask(root, CPU_DIR "/online", &cpus->online, err);
	return ret;
}

static int set_online(const char *root, uint32_t cpu, const char *value)
{
	const struct timespec wait = {.tv_nsec = BUSY_WAIT_NS};
	char path[sizeof(CPU_DIR) + 32], text[SYSFILE_MAX];
	int ret;

	snprintf(path, sizeof(path), CPU_DIR "/cpu%u/online", cpu);
	/* EBUSY: the kernel has CPU hotplug switched off for a moment. */
	for (int i = 0; i < BUSY_TRIES; i++) {
		ret = sysfile_write(root, path, value, NULL);
		if (ret != -EBUSY && ret != -EAGAIN)
			break;
		nanosleep(&wait, NULL);
	}
	if (ret < 0)
		return ret;
	ret = sysfile_read(root, path, text, sizeof(text), NULL);
	if (ret < 0)
		return ret;
	return text[0] == value[0] ? 0 : -EIO;
}

int guest_cpu_online(const char *root, uint32_t cpu)
{
	return set_online(root, cpu, "1");
}

int guest_cpu_offline(const char *root, uint32_t cpu)
{
	return set_online(root, cpu, "0");
}
