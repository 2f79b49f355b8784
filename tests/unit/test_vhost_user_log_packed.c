/* SPDX-License-Identifier: Apache-2.0 */
/* The same, through packed rings. */
#define FAKE_PACKED
#include "test_vhost_user_log.c"
