/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a whole: its loop, its listener, its sessions, its jobs. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <sys/queue.h>

#include "child.h"
#include "error.h"
#include "job.h"
#include "listener.h"
#include "loop.h"
#include "manager.h"
#include "policy.h"

struct agent_session;

struct agent_service;

struct agent_options {
	struct agent_address listen;
	const char *root; /* "" or the directory that stands for / below /proc, /sys */
	const char *files_root; /* what files of the guest are beneath; NULL: / */
	const char *policy;	/* its file, or NULL: everything is allowed */
	bool policy_may_miss;	/* no such file is no error either */
	/* What is served: agent_services (agent/service.h), or a test's own. */
	const struct agent_service *const *services;
};

struct agent {
	const struct agent_options *options;
	struct agent_loop loop;
	struct agent_listener listener;
	struct agent_jobs jobs;
	struct agent_children children;
	struct agent_policy policy;
	struct agent_manager manager;
	TAILQ_HEAD(agent_sessions, agent_session) sessions;
	unsigned int n_sessions;
	struct agent_source signals;
	unsigned int n_tasks; /* calls with a process of their own (task.h) */
};

/*
 * Serves until SIGTERM or SIGINT. 0 after one of these, a negative errno when
 * it cannot start or go on. SIGHUP makes it read the policy again. Changes the
 * process's signal mask.
 */
int agent_run(const struct agent_options *options, struct error *err);

#endif
