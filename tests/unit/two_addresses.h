/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name of two addresses, for a test program that includes this: getaddrinfo() is
 * ours, and asks the system's about each.
 */
#ifndef TWO_ADDRESSES_H
#define TWO_ADDRESSES_H

#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

#define TWO_NAME   "two.test"
#define TWO_FIRST  "127.0.0.2"
#define TWO_SECOND "127.0.0.1"

typedef int (*two_lookup)(const char *name, const char *service,
			  const struct addrinfo *hints, struct addrinfo **list);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	two_lookup system = (two_lookup)dlsym(RTLD_NEXT, "getaddrinfo");
	int ret;

	if (strcmp(name, TWO_NAME) != 0)
		return system(name, service, hints, list);
	ret = system(TWO_FIRST, service, hints, list);
	return ret ? ret : system(TWO_SECOND, service, hints, &(*list)->ai_next);
}

#endif
