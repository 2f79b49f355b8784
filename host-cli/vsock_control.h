/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of vsockd's control socket; vsockd(8) has its answers.
 */
#ifndef HOST_CLI_VSOCK_CONTROL_H
#define HOST_CLI_VSOCK_CONTROL_H

#include <stddef.h>

#include "error.h"
#include "io.h"

/*
 * Sends a request and reads the whole answer: lines of printable text, without the
 * last one, which said that it is whole. The caller frees it. Errors: -ENOENT,
 * -ECONNREFUSED and -EACCES where nobody serves the path, -ETIMEDOUT, -EPROTO for
 * what is no answer, or not a whole one.
 */
int vsock_control_ask(const char *path, const char *request, deadline_t deadline,
		      char **answer, struct error *err);

/*
 * Cuts the first line off *text into its words. Their number, at most max; 0 at the
 * end. Empty words are words.
 */
size_t vsock_control_words(char **text, char **word, size_t max);

#endif
