/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host program's messages on their way to the guest: to_guest.c's part for
 * SOCK_SEQPACKET.
 */
#ifndef TRANSPORT_MESSAGE_OUT_H
#define TRANSPORT_MESSAGE_OUT_H

#include "to_guest.h"

/* Sends one message of the connection, or what it can of one. */
enum to_guest_outcome message_out(struct device *dev, struct conn *conn);

#endif
