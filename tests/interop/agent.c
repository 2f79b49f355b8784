// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's server with the tests' service beside its own, for other clients:
 *
 *     agent unix:PATH
 */
#include "../unit/stream_service.h"

int main(int argc, char **argv)
{
	const struct agent_service *served[] = {agent_services[0], &stream_service,
						NULL};
	struct agent_options options = {.root = "", .services = served};
	struct error err;

	if (argc != 2 || agent_address_parse(argv[1], &options.listen, &err) < 0 ||
	    agent_run(&options, &err) < 0)
		return 1;
	return 0;
}
