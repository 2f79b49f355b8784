/* SPDX-License-Identifier: Apache-2.0 */
#include "vsock_traffic.h"

#include <string.h>
#include <sys/un.h>

#include "cleanup.h"
#include "registry.h"
#include "text.h"
#include "vsock_control.h"

bool vsock_traffic_ask(const char *name, deadline_t deadline, struct vsock_traffic *t)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const struct {
		const char *name, *of; /* of: NULL where there is one of that name */
		uint64_t *value;
	} wanted[] = {
		{"connections", NULL, &t->connections},
		{"bytes", "to_guest", &t->to_guest},
		{"bytes", "from_guest", &t->from_guest},
	};
	const size_t n_wanted = sizeof(wanted) / sizeof(wanted[0]);
	cleanup_free char *answer = NULL;
	struct error err = {0};
	char *word[3], *at;
	size_t words, found = 0;

	memset(t, 0, sizeof(*t));
	if (!registry_name_valid(name) ||
	    registry_path(name, "control.sock", path, sizeof(path), &err) ||
	    vsock_control_ask(path, "stats", deadline, &answer, &err))
		return false;
	at = answer;
	while ((words = vsock_control_words(&at, word, 3)) > 0)
		for (size_t i = 0; i < n_wanted; i++) {
			bool has_of = wanted[i].of != NULL;

			if (words == 2u + has_of && !strcmp(word[0], wanted[i].name) &&
			    (!has_of || !strcmp(word[1], wanted[i].of)) &&
			    !text_number(word[1 + has_of], 0, UINT64_MAX,
					 wanted[i].value))
				found++;
		}
	return found == n_wanted;
}
