/* SPDX-License-Identifier: Apache-2.0 */
#include "amount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int amount_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	static const char suffixes[] = "KMG";
	unsigned long long number;
	const char *suffix;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		unsigned int shift = 10 * (unsigned int)(suffix - suffixes + 1);

		if (number > UINT64_MAX >> shift)
			return -EINVAL;
		number <<= shift;
		end++;
	}
	if (*end || number < min || number > max)
		return -EINVAL;
	*value = number;
	return 0;
}
