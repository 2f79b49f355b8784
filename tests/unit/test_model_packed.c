/* SPDX-License-Identifier: Apache-2.0 */
/* The same, through packed rings. */
#define FAKE_PACKED
#include "test_model.c"
