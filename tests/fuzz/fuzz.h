/* SPDX-License-Identifier: Apache-2.0 */
/* What every one of libFuzzer's targets here begins with. */
#ifndef FUZZ_H
#define FUZZ_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0, or -1: the input is of no interest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                           \
	do {                                                                       \
		if (!(condition)) {                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, \
				#condition);                                       \
			abort();                                                   \
		}                                                                  \
	} while (0)

/* Of this process; that of the directory itself is counted always. */
static inline unsigned int fuzz_open_files(void)
{
	unsigned int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
