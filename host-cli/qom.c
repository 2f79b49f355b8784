/* SPDX-License-Identifier: Apache-2.0 */
#include "qom.h"

#include <stdio.h>
#include <string.h>

int qom_list(struct qmp *q, const char *path, deadline_t deadline, json_t **list,
	     struct error *err)
{
	return qmp_execute(q, "qom-list", json_pack("{s:s}", "path", path), deadline,
			   list, err);
}

const char *qom_name(const json_t *list, size_t i)
{
	const json_t *entry = json_array_get(list, i);
	const char *name = json_string_value(json_object_get(entry, "name"));

	return entry && !name ? "" : name;
}

int qom_has(struct qmp *q, const char *path, const char *name, deadline_t deadline,
	    struct error *err)
{
	json_t *list = NULL;
	int ret = qom_list(q, path, deadline, &list, err);
	const char *its;
	size_t i;

	if (ret)
		return ret;
	for (i = 0; (its = qom_name(list, i)); i++)
		if (!strcmp(its, name))
			ret = 1;
	json_decref(list);
	return ret;
}

int qom_hotpluggable(struct qmp *q, const char *id, deadline_t deadline,
		     struct error *err)
{
	json_t *value = NULL;
	char path[128];
	int ret;

	snprintf(path, sizeof(path), QOM_DEVICES "/%s", id);
	ret = qmp_execute(
		q, "qom-get",
		json_pack("{s:s, s:s}", "path", path, "property", "hotpluggable"),
		deadline, &value, err);
	if (ret)
		return ret;
	ret = !json_is_false(value);
	json_decref(value);
	return ret;
}
