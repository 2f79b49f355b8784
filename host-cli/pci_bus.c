/* SPDX-License-Identifier: Apache-2.0 */
#include "pci_bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 32 /* of bridges behind bridges */

static int number(const json_t *device, const char *key, json_int_t max)
{
	const json_t *value = json_object_get(device, key);
	json_int_t v = json_integer_value(value);

	return json_is_integer(value) && v >= 0 && v <= max ? (int)v : -1;
}

static const json_t *find_device(const json_t *devices, const char *id, int depth)
{
	const json_t *device, *found;
	size_t i;

	json_array_foreach (devices, i, device) {
		const char *its = json_string_value(json_object_get(device, "qdev_id"));
		const json_t *bridge = json_object_get(device, "pci_bridge");

		if (its && !strcmp(its, id))
			return device;
		found = depth ? find_device(json_object_get(bridge, "devices"), id,
					    depth - 1)
			      : NULL;
		if (found)
			return found;
	}
	return NULL;
}

static const json_t *find_free(const json_t *devices)
{
	const json_t *device;
	size_t i;

	json_array_foreach (devices, i, device) {
		const char *id = json_string_value(json_object_get(device, "qdev_id"));
		const json_t *bridge = json_object_get(device, "pci_bridge");

		if (bridge && id && *id &&
		    !json_array_size(json_object_get(bridge, "devices")))
			return device;
	}
	return NULL;
}

int pci_bus_find(struct qmp *q, const char *id, uint64_t *bdf, deadline_t deadline,
		 struct error *err)
{
	const json_t *device = NULL, *bus;
	json_t *reply = NULL;
	int ret, at, slot, function;
	size_t i;

	ret = qmp_execute(q, "query-pci", NULL, deadline, &reply, err);
	if (ret)
		return ret;
	json_array_foreach (reply, i, bus) {
		device = find_device(json_object_get(bus, "devices"), id, DEPTH_MAX);
		if (device)
			break;
	}
	at = number(device, "bus", 255);
	slot = number(device, "slot", 31);
	function = number(device, "function", 7);
	if (device && (at < 0 || slot < 0 || function < 0))
		ret = error_set(err, -EPROTO, "query-pci: no address of %s", id);
	else if (device)
		*bdf = (uint64_t)at << 8 | (uint64_t)slot << 3 | (uint64_t)function;
	ret = ret ? ret : device != NULL;
	json_decref(reply);
	return ret;
}

int pci_bus_free(struct qmp *q, char *bus, size_t size, deadline_t deadline,
		 struct error *err)
{
	const json_t *found = NULL, *o;
	json_t *reply = NULL;
	const char *id;
	size_t i;
	int ret = qmp_execute(q, "query-pci", NULL, deadline, &reply, err);

	if (ret)
		return ret;
	json_array_foreach (reply, i, o) {
		found = find_free(json_object_get(o, "devices"));
		if (found)
			break;
	}
	id = json_string_value(json_object_get(found, "qdev_id"));
	if (!id || (size_t)snprintf(bus, size, "%s", id) >= size)
		ret = error_set(err, -ENOSPC,
				"no PCIe root port is free; start QEMU with more "
				"(-device pcie-root-port,id=rp1,chassis=2), or name a "
				"--bus");
	json_decref(reply);
	return ret;
}
