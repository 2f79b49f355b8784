/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-level calls of Kata Containers' agent (proto/kata), with its field numbers
 * and its ways. Containers, processes and their streams are not served: what there is
 * no method for is UNIMPLEMENTED, which Kata's runtimes bear.
 */
#ifndef AGENT_KATA_H
#define AGENT_KATA_H

#include "answer.h"
#include "kata/agent.pb-c.h"
#include "service.h"

#define KATA_AGENT_SERVICE "grpc.AgentService"
/* CopyFile writes beneath this, as Kata's does. */
#define KATA_COPY_DIR "/run/kata-containers"
/* Where the host's shares are mounted. */
#define KATA_SHARE_DIR KATA_COPY_DIR "/shared/containers/"

extern const struct agent_service kata_health_service;	/* grpc.Health */
extern const struct agent_service kata_guest_service;	/* CPUs, memory, clock, ... */
extern const struct agent_service kata_sandbox_service; /* the sandbox, CopyFile */
extern const struct agent_service kata_network_service; /* interfaces, routes */
extern const struct agent_service kata_iptables_service;
extern const struct agent_service kata_swap_service;
extern const struct agent_service kata_volume_service; /* file systems, shares */

/* Sends the empty answer of most of these calls. */
int kata_send_empty(struct agent_answer *answer, struct error *err);

/* OnlineCPUMem, which answers after 5 s at the latest for CPUs (kata_online.c). */
int kata_make_online(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *message, struct error *err);

/* CopyFile, beneath root and KATA_COPY_DIR (kata_copy.c). */
int kata_copy(const char *root, const Grpc__CopyFileRequest *request,
	      struct error *err);

/* Loads a kernel module with its parameters, through modprobe(8) (kata_module.c). */
int kata_load_module(const char *name, char *const *parameters, size_t n,
		     struct error *err);

#endif
