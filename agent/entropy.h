/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes of the host's: AddEntropy (proto/vmctl/agent/v1/system.proto). */
#ifndef AGENT_ENTROPY_H
#define AGENT_ENTROPY_H

#include "service.h"

#define ENTROPY_MAX 4096 /* bytes in a call */

/*
 * Mixes them into the guest's generator, of /dev/random. credit: they count as random,
 * and are used from now on.
 */
int entropy_add(const char *root, const ProtobufCBinaryData *data, bool credit,
		struct error *err);

extern const struct agent_service entropy_service;

#endif
