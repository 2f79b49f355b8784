/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which calls are let through: a file of lines
 *
 *     allow vmctl.agent.v1.GuestAgent/Get*
 *     deny  *
 *
 * whose patterns are those of fnmatch(3), for a service and a method with a slash
 * between, where * matches a slash too. The first line that matches decides; a call
 * that none matches is allowed. # begins a comment.
 */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct agent_service;

#define AGENT_POLICY_FILE "/etc/vmctl/agent-policy.conf"

struct agent_policy_rule {
	unsigned int line; /* of the file, from 1 */
	bool allow;
	char *pattern;
};

/* All zero allows everything. */
struct agent_policy {
	struct agent_policy_rule *rules;
	size_t n_rules;
};

/*
 * Reads a file, and puts its rules in the place of those that there were, which the
 * policy owns. On an error these stay: the file's own, -EINVAL for a line that is no
 * rule, which the words name, -ENOMEM.
 */
int agent_policy_load(struct agent_policy *policy, const char *path, struct error *err);
void agent_policy_free(struct agent_policy *policy);

/*
 * Logs the rules whose pattern matches no call of the services (service.h), by file and
 * line: each is likely a slip, and denies nothing.
 */
void agent_policy_warn(const struct agent_policy *policy, const char *path,
		       const struct agent_service *const *services);

/* 0, or the line that refuses the call. */
unsigned int agent_policy_refuses(const struct agent_policy *policy,
				  const char *service, const char *method);

#endif
