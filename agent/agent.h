/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a whole: its loop, its listener, its sessions, its jobs. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "budget.h"
#include "child.h"
#include "error.h"
#include "job.h"
#include "listener.h"
#include "loop.h"
#include "manager.h"
#include "policy.h"

struct agent_events;
struct agent_service;
struct agent_session;

struct agent_options {
	struct agent_address listen;
	bool kata; /* the calls of Kata's agent too, at an address of their own */
	struct agent_address kata_listen;
	const char *root; /* "" or the directory that stands for / below /proc, /sys */
	const char *files_root; /* what files of the guest are beneath; NULL: / */
	const char *policy;	/* its file, or NULL: everything is allowed */
	bool policy_may_miss;	/* no such file is no error either */
	/* What is served: a table of agent/service.h, or a test's own. */
	const struct agent_service *const *services;
};

/* Since the start, for GetMetrics. */
struct agent_figures {
	uint64_t connections;
	uint64_t calls;
	uint64_t calls_failed; /* with any status but OK, those refused too */
	uint64_t events, events_lost;
};

struct agent {
	const struct agent_options *options;
	struct agent_loop loop;
	struct agent_listener listener, kata_listener;
	struct agent_jobs jobs;
	struct agent_children children;
	struct agent_policy policy;
	struct agent_manager manager;
	struct agent_events *events; /* those who want to know; NULL: nobody */
	struct agent_figures figures;
	TAILQ_HEAD(agent_sessions, agent_session) sessions;
	unsigned int n_sessions;
	struct agent_budget budget;
	struct agent_source signals;
	unsigned int n_tasks;	   /* calls with a process of their own (task.h) */
	unsigned int n_tasks_left; /* such processes whose calls have ended */
	bool frozen; /* file systems are, or are being, frozen (freezer.h) */
};

/*
 * Serves until SIGTERM or SIGINT. 0 after one of these, a negative errno when
 * it cannot start or go on. SIGHUP makes it read the policy again. Changes the
 * process's signal mask.
 */
int agent_run(const struct agent_options *options, struct error *err);

#endif
