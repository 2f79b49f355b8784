/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHIM_COMPILER_H
#define SHIM_COMPILER_H

#define __printf(string, first) __attribute__((__format__(__printf__, string, first)))

#endif
