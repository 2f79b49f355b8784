/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says of a call that changes the guest, beyond its status: what it was
 * about, and how many of its parts failed. Both are read from the messages, by the
 * names of their fields, so that no service has to see to it.
 */
#ifndef AGENT_OUTCOME_H
#define AGENT_OUTCOME_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#define AGENT_OUTCOME_TEXT 160

struct agent_outcome {
	char about[AGENT_OUTCOME_TEXT]; /* a path, a name, a user; "": none */
	char note[48];			/* the handler's own words, or "" */
	size_t results, failed;		/* parts with a result, those with an errno */
};

/* A message of the client's: the first that names something counts. */
void agent_outcome_request(struct agent_outcome *outcome,
			   const ProtobufCMessage *message);
/* A message of the agent's. */
void agent_outcome_response(struct agent_outcome *outcome,
			    const ProtobufCMessage *message);
/* " (/etc/x; 1 of 2 failed)", or "" if there is nothing to say. */
void agent_outcome_text(const struct agent_outcome *outcome, char *text, size_t size);

#endif
