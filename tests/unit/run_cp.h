/* SPDX-License-Identifier: Apache-2.0 */
/* vmctl cp with an agent of its own, and what its tests name: files of both sides. */
#ifndef RUN_CP_H
#define RUN_CP_H

#include "file_client.h"
#include "hybrid_front.h"

#include "../../host-cli/status.h"
#include "../../host-cli/verbs.h"
#include "run_verb.h"

#define CP(...) run(cp_main, ARGS("cp", __VA_ARGS__))

static char guest_path[256], local[PATH_MAX];

static int start_with(void **state)
{
	int ret;

	test_files_root = ROOT;
	ret = start_front(state);
	put_file(*state, ROOT "/etc/hello", "hello from the guest");
	put_file(*state, "host/here", "hello from the host");
	return ret;
}

static int start(void **state)
{
	test_services = agent_services;
	return start_with(state);
}

static char *in_guest(const char *path)
{
	snprintf(guest_path, sizeof(guest_path), "%s:%s", front_address, path);
	return guest_path;
}

static char *on_host(const struct fixture *f, const char *name)
{
	path_of(f, name, local);
	return local;
}

#endif
