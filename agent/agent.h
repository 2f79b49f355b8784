/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a whole: its loop, its listener, its sessions, its jobs. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <sys/queue.h>

#include "error.h"
#include "job.h"
#include "listener.h"
#include "loop.h"

struct agent_session;

struct agent_service;

struct agent_options {
	struct agent_address listen;
	const char *root; /* "" or the directory that stands for / below /proc, /sys */
	/* What is served: agent_services (agent/service.h), or a test's own. */
	const struct agent_service *const *services;
};

struct agent {
	const struct agent_options *options;
	struct agent_loop loop;
	struct agent_listener listener;
	struct agent_jobs jobs;
	TAILQ_HEAD(agent_sessions, agent_session) sessions;
	unsigned int n_sessions;
	struct agent_source signals;
};

/*
 * Serves until SIGTERM or SIGINT. 0 after one of these, a negative errno when
 * it cannot start or go on. Changes the process's signal mask.
 */
int agent_run(const struct agent_options *options, struct error *err);

#endif
