/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command as it is asked for, and the process that becomes it. Such a process has
 * nothing of the agent's: no descriptor, environment, signal mask or priority.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include <sys/types.h>

#include "error.h"
#include "vmctl/agent/v1/exec.pb-c.h"

struct command {
	char **arguments;   /* ended by NULL; none: the user's login shell */
	char **environment; /* NAME=VALUE, ended by NULL */
	char *directory;    /* NULL: the user's home */
	char *user;	    /* as identity_find() reads it */
};

/* What the process gets: pipes, or the other side of a terminal. */
struct command_files {
	int input, output, errors; /* -1 with a terminal */
	int terminal;		   /* its master, or -1 */
	/* Gets a struct error if the command could not be run; closed when it runs. */
	int status;
};

/* Copies what is asked for. -EINVAL: it cannot be passed to a process. */
int command_read(struct command *command, const Vmctl__Agent__V1__ExecStart *start,
		 struct error *err);
void command_free(struct command *command);

/*
 * Forks. The process leads a session and a process group of its own, and dies when
 * this one does. Returns its pid or a negative errno.
 */
pid_t command_start(const struct command *command, const char *root,
		    const struct command_files *files);

#endif
