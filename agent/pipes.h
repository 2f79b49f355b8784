/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of what a command reads and writes: three pipes, or a terminal. */
#ifndef AGENT_PIPES_H
#define AGENT_PIPES_H

#include <stdbool.h>

#include "cleanup.h"
#include "command.h"

struct pipes {
	/* The agent's ends, which do not block. Of a terminal two are its master. */
	int input, output, errors, status;
	struct command_files theirs;
};

/* Negative errno. */
int pipes_open(struct pipes *pipes, bool terminal);
/* Closes what nobody has taken over (steal_fd()), and the command's ends. */
void pipes_close(struct pipes *pipes);

#endif
