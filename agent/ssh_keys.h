/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that let into a user's account by ssh: ListSshKeys, AddSshKeys and
 * RemoveSshKeys (proto/vmctl/agent/v1/ssh_keys.proto). The file is read and written by
 * a process of that user, so that no link of the user's leads to what is not its own.
 */
#ifndef AGENT_SSH_KEYS_H
#define AGENT_SSH_KEYS_H

#include "service.h"

extern const struct agent_service ssh_keys_service;

#endif
