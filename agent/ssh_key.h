/* SPDX-License-Identifier: Apache-2.0 */
/* A line of an authorized_keys file: options, type, key, comment. */
#ifndef AGENT_SSH_KEY_H
#define AGENT_SSH_KEY_H

#include <stdbool.h>
#include <stddef.h>

struct ssh_key {
	const char *type; /* into the line */
	size_t len;	  /* of type and base64, with the space between */
};

/* Finds the key in a line of len bytes; false: there is none, as in a comment. */
bool ssh_key_find(const char *line, size_t len, struct ssh_key *key);

/* Whether the line is one key, of printable characters, and no more. */
bool ssh_key_is_line(const char *line);

bool ssh_key_equal(const struct ssh_key *a, const struct ssh_key *b);

#endif
