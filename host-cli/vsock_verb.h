/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs about a VM's vsock device have in common: they ask vsockd.
 */
#ifndef HOST_CLI_VSOCK_VERB_H
#define HOST_CLI_VSOCK_VERB_H

#include "report.h"
#include "verbs.h"

extern const struct verb vsock_verbs[]; /* the second words */

int vsock_stats_main(int argc, char **argv);
int vsock_list_main(int argc, char **argv);

struct vsock_options {
	const char *control; /* --control, or NULL */
	bool metrics;	     /* --metrics */
};

/* The setter of the option --control. */
int vsock_set_control(void *into, const char *value, struct error *err);
#define VSOCK_CONTROL_SPEC                                                         \
	{                                                                          \
		"control", "PATH", "vsockd's control socket", 0, vsock_set_control \
	}

struct vsock_verb {
	const struct options_syntax *syntax;
	const char *request;
	/*
	 * Prints the answer, which it may change, or sets members. -EPROTO where it
	 * is none.
	 */
	int (*show)(char *answer, struct report *r, struct error *err);
};

int vsock_verb_main(int argc, char **argv, const struct vsock_verb *verb);

/* A word that is a number as one, any other as a string. */
json_t *vsock_value(const char *word);

#endif
