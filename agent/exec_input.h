/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client sends for a command's standard input. While the command does not
 * take it, the call is paused, so that one message at most is kept.
 */
#ifndef AGENT_EXEC_INPUT_H
#define AGENT_EXEC_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

struct exec_input {
	struct agent_source source; /* fd -1: closed; in the loop while data is kept */
	struct agent_call *call;
	bool terminal;
	uint8_t *data;
	size_t len, done;
};

/* Takes fd over; -1: there is none. */
void exec_input_init(struct exec_input *input, struct agent_call *call, bool terminal,
		     int fd);
/* Bytes for a command that takes no more are dropped, as by a pipe's reader that has
 * gone. */
void exec_input_write(struct exec_input *input, const uint8_t *data, size_t len);
/* No more comes. A terminal gets its end-of-file character. */
void exec_input_end(struct exec_input *input);
/* At once, with what is kept. */
void exec_input_close(struct exec_input *input);

#endif
