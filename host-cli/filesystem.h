/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs about a guest's file systems have in common. */
#ifndef HOST_CLI_FILESYSTEM_H
#define HOST_CLI_FILESYSTEM_H

#include "ask.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

/* Bytes of the guest as a JSON string; what is not UTF-8 becomes '?'. */
json_t *filesystem_json(const ProtobufCBinaryData *bytes);
/* The same for a terminal. */
const char *filesystem_text(const ProtobufCBinaryData *bytes, char *to, size_t size);

/* The operands behind the VM as bytes, to be freed; reports that there is no memory. */
ProtobufCBinaryData *filesystem_names(const struct options *options, size_t *n,
				      struct report *r);

/* One result, on stdout or in the JSON list "filesystems". done: "frozen", ... */
void filesystem_result(struct report *r, const Vmctl__Agent__V1__FilesystemResult *one,
		       const char *done);

/* As guest_rpc_next(); and -EPROTO where there is more than a guest can have. */
int filesystem_next(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type,
		    deadline_t deadline, ProtobufCMessage **message, struct error *err);

/* Takes one over, as one of the rows of a list. 0, or a negative errno with err. */
typedef int filesystem_row(Vmctl__Agent__V1__ListFilesystemsResponse *one, void *into,
			   struct error *err);

/* Those of the guest, or all, one by one: 0, or a negative errno with err. */
int filesystem_each(struct rpc *rpc, bool all, filesystem_row *row, void *into,
		    deadline_t deadline, struct error *err);

/*
 * With --dry-run: says what would be done with those that are named, or with all, if
 * the guest has them. 0, or a negative errno with err.
 */
int filesystem_would(struct rpc *rpc, const char *verb, deadline_t deadline,
		     struct report *r, struct error *err);

/* What a verb does with its agent, as a step of r: 0, or a negative errno with err. */
typedef int filesystem_job(struct rpc *rpc, void *into, deadline_t deadline,
			   struct report *r, struct error *err);

/*
 * Resolves the VM, connects to its agent, and does the job: again where the connection
 * broke, unless the verb changes something, which it does not where *asks (NULL: it
 * does). Returns the exit code.
 */
int filesystem_run(int argc, char **argv, const struct options_syntax *syntax,
		   const bool *asks, void *into, filesystem_job *job);

#endif
