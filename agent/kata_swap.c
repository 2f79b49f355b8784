// SPDX-License-Identifier: Apache-2.0
/*
 * Swap: on a file or device that is named, or on a virtio disk that the host has just
 * plugged, which is named by its way through the PCI bridges. The host has made the
 * swap area.
 */
#include "kata.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/swap.h>
#include <time.h>

#include "agent.h"
#include "kata/agent.pb-c.h"

#define ROOT_BUS   "/sys/devices/pci0000:00"
#define DEPTH_MAX  8
#define DEVICE_MS  3000 /* how long Kata's agent waits for a device that is plugged */
#define PAUSE_NS   50000000
#define DEVICE_MAX 31 /* on a bus */

/* The directory's one entry of that beginning: false if there is none. */
static bool find_entry(const char *dir, const char *prefix, char name[NAME_MAX + 1])
{
	DIR *entries = opendir(dir);
	bool found = false;

	if (!entries)
		return false;
	for (struct dirent *e; !found && (e = readdir(entries));) {
		if (*e->d_name == '.' || strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		strcpy(name, e->d_name);
		found = true;
	}
	closedir(entries);
	return found;
}

/* Appends to a path: false if it does not fit. */
__attribute__((format(printf, 2, 3))) static bool append(char path[PATH_MAX],
							 const char *fmt, ...)
{
	size_t used = strlen(path);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path + used, PATH_MAX - used, fmt, args);
	va_end(args);
	return n >= 0 && (size_t)n < PATH_MAX - used;
}

/* Goes down one entry of that beginning. */
static bool descend(char path[PATH_MAX], const char *prefix, char name[NAME_MAX + 1])
{
	return find_entry(path, prefix, name) && append(path, "/%s", name);
}

/*
 * The name of the disk at the end of the way, as "vda". Each slot but the last is a
 * bridge's; what is behind it has its bus's number in its name.
 */
static bool find_disk(const char *root, const Grpc__AddSwapRequest *request,
		      char disk[NAME_MAX + 1])
{
	char path[PATH_MAX] = "", bridge[PATH_MAX], bus[NAME_MAX + 1] = "0000:00";
	char name[NAME_MAX + 1];

	if (!append(path, "%s" ROOT_BUS, root))
		return false;
	for (size_t i = 0; i < request->n_pci_path; i++) {
		if (i) {
			strcpy(bridge, path);
			if (!append(bridge, "/pci_bus") || !find_entry(bridge, "", bus))
				return false;
		}
		if (!append(path, "/%s:%02x.0", bus, request->pci_path[i]))
			return false;
	}
	return descend(path, "virtio", name) && append(path, "/block") &&
	       find_entry(path, "", disk);
}

static int check_way(const Grpc__AddSwapRequest *request, struct error *err)
{
	if (!request->n_pci_path || request->n_pci_path > DEPTH_MAX)
		return error_set(err, -EINVAL, "a way of %zu PCI slots; give 1 to %d",
				 request->n_pci_path, DEPTH_MAX);
	for (size_t i = 0; i < request->n_pci_path; i++)
		if (request->pci_path[i] > DEVICE_MAX)
			return error_set(err, -EINVAL, "there is no PCI slot %u",
					 request->pci_path[i]);
	return 0;
}

static int swap_on(const char *root, const char *path, struct error *err)
{
	if (*root)
		return error_set(
			err, -EPERM,
			"with --root the swap space is not the guest's: %.200s", path);
	if (swapon(path, 0) < 0)
		return error_set(err, -EIO, "swapon %.200s: %s", path, strerror(errno));
	return 0;
}

static int make_swap(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *message, struct error *err)
{
	const Grpc__AddSwapRequest *request = (const Grpc__AddSwapRequest *)message;
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const char *root = agent->options->root;
	deadline_t deadline = deadline_after_ms(DEVICE_MS);
	char disk[NAME_MAX + 1], path[NAME_MAX + 8];
	int ret = check_way(request, err);

	if (ret)
		return ret;
	while (!find_disk(root, request, disk)) {
		if (!deadline_left_ms(deadline))
			return error_set(err, -EIO,
					 "no virtio disk has come at the end of %zu "
					 "PCI slots from 0000:00:%02x.0 within %d ms",
					 request->n_pci_path, request->pci_path[0],
					 DEVICE_MS);
		nanosleep(&pause, NULL);
	}
	snprintf(path, sizeof(path), "/dev/%s", disk);
	ret = swap_on(root, path, err);
	return ret ? ret : kata_send_empty(answer, err);
}

static int make_swap_path(struct agent_answer *answer, const struct agent *agent,
			  const ProtobufCMessage *message, struct error *err)
{
	const char *path = ((const Grpc__AddSwapPathRequest *)message)->path;
	int ret;

	if (*path != '/')
		return error_set(err, -EINVAL, "'%.200s' is no absolute path", path);
	ret = swap_on(agent->options->root, path, err);
	return ret ? ret : kata_send_empty(answer, err);
}

static void add_swap(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_swap);
}

static void add_swap_path(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_swap_path);
}

static const struct agent_method methods[] = {
	{
		.name = "AddSwap",
		.request = &grpc__add_swap_request__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = add_swap,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "AddSwapPath",
		.request = &grpc__add_swap_path_request__descriptor,
		.request_max = 8192,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = add_swap_path,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service kata_swap_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
