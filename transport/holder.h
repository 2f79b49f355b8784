/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small parent that a worker has where there is no service manager: it speaks the
 * manager's part of sd_notify(3) and of the descriptor store, so that the worker
 * cannot tell them apart, and starts another one when it dies. It knows nothing of
 * what it holds, and of the guest it hears nothing.
 */
#ifndef TRANSPORT_HOLDER_H
#define TRANSPORT_HOLDER_H

#include "error.h"

/*
 * Runs the program of this very path, with these arguments, until it ends by itself:
 * its exit status, or a negative errno when it could not be started. Signals to this
 * process reach it: SIGTERM and SIGINT end it; SIGHUP puts another one in its place,
 * which is how a new version of the program takes over.
 */
int holder_run(char **argv, struct error *err);

#endif
