/* SPDX-License-Identifier: Apache-2.0 */
/* What a command prints, on its way to the client: as much as the client takes. */
#ifndef AGENT_EXEC_OUTPUT_H
#define AGENT_EXEC_OUTPUT_H

#include <stdbool.h>

#include "call.h"
#include "vmctl/agent/v1/exec.pb-c.h"

struct exec;

struct exec_output {
	struct agent_source source; /* fd -1: closed */
	struct agent_call *call;
	struct exec *owner;
	void (*ended)(struct exec_output *output);
	Vmctl__Agent__V1__ExecResponse__MessageCase field;
	bool watched;
	bool last; /* the command has ended: no more than `left` comes */
	size_t left;
};

/* Takes fd over, a pipe or a terminal; -1: there is none. ended() is called when it
 * has come to its end, once, and may free it. */
void exec_output_init(struct exec_output *output, struct agent_call *call,
		      struct exec *owner, void (*ended)(struct exec_output *output),
		      Vmctl__Agent__V1__ExecResponse__MessageCase field, int fd);
bool exec_output_is_open(const struct exec_output *output);
void exec_output_close(struct exec_output *output);

/* Reads from now on, or again, now that there is room. Calls nothing. */
void exec_output_start(struct exec_output *output);

/*
 * The command has ended. What it has printed is still to be sent, but what others
 * print that it left behind is not waited for.
 */
void exec_output_last(struct exec_output *output);

#endif
