/* SPDX-License-Identifier: Apache-2.0 */
/* From a request frame to the handler of its service and method. */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include <stdint.h>

#include "session.h"
#include "ttrpc.h"

/*
 * Takes a frame of type request, whose stream id has been checked. Whatever is in
 * the payload, the stream gets its answer, now or later.
 */
void agent_dispatch(struct agent_session *session, const struct ttrpc_header *header,
		    const uint8_t *payload);

#endif
