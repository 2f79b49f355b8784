// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent.h"
#include "log.h"
#include "service.h"

#define EXIT_USAGE 2

static const char usage[] =
	"usage: vmctl-agent [--listen ADDRESS] [--policy FILE] [--files-root DIR]\n"
	"                   [--kata[=ADDRESS]]\n"
	"\n"
	"Serves the host's vmctl from inside a guest.\n"
	"\n"
	"  --listen ADDRESS  vsock:PORT (default: vsock:220), where only the host is\n"
	"                    let in, or unix:PATH for tests and debugging\n"
	"  --policy FILE     which calls are let through; default, if it exists:\n"
	"                    " AGENT_POLICY_FILE "\n"
	"  --files-root DIR  let the host at files beneath DIR only (default: /)\n"
	"  --kata            the calls of Kata Containers' agent too, on vsock:1024\n"
	"  --root DIR        read /proc and /sys below DIR (for tests)\n"
	"  --version         print the version and exit\n"
	"  --help            print this and exit\n";

enum option_id {
	OPTION_LISTEN = 256,
	OPTION_POLICY,
	OPTION_FILES_ROOT,
	OPTION_KATA,
	OPTION_ROOT,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"policy", required_argument, NULL, OPTION_POLICY},
	{"files-root", required_argument, NULL, OPTION_FILES_ROOT},
	{"kata", optional_argument, NULL, OPTION_KATA},
	{"root", required_argument, NULL, OPTION_ROOT},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

/* Returns -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct agent_options *options)
{
	const char *listen = "vsock:220", *kata = "vsock:1024";
	struct error err;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case OPTION_LISTEN:
			listen = optarg;
			break;
		case OPTION_POLICY:
			options->policy = optarg;
			options->policy_may_miss = false;
			break;
		case OPTION_FILES_ROOT:
			options->files_root = optarg;
			break;
		case OPTION_KATA:
			options->kata = true;
			options->services = agent_services_kata;
			if (optarg)
				kata = optarg;
			break;
		case OPTION_ROOT:
			options->root = optarg;
			break;
		case OPTION_VERSION:
			puts("vmctl-agent " VMCTL_VERSION);
			return EXIT_SUCCESS;
		case OPTION_HELP:
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "vmctl-agent: no argument '%s' expected\n%s",
			argv[optind], usage);
		return EXIT_USAGE;
	}
	if (agent_address_parse(listen, &options->listen, &err) < 0) {
		fprintf(stderr, "vmctl-agent: --listen: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (agent_address_parse(kata, &options->kata_listen, &err) < 0) {
		fprintf(stderr, "vmctl-agent: --kata: %s\n", err.text);
		return EXIT_USAGE;
	}
	return -1;
}

/*
 * An init may start us with no standard descriptors; a connection must not take
 * the place of stderr. A bare initramfs may have no /dev/null.
 */
static void open_standard_fds(void)
{
	while (fcntl(STDERR_FILENO, F_GETFD) < 0 && errno == EBADF)
		if (open("/dev/null", O_RDWR) < 0 && open("/", O_RDONLY) < 0)
			return;
}

int main(int argc, char **argv)
{
	struct agent_options options = {.root = "",
					.policy = AGENT_POLICY_FILE,
					.policy_may_miss = true,
					.services = agent_services};
	struct error err;
	int ret;

	open_standard_fds();
	ret = parse_options(argc, argv, &options);
	if (ret >= 0)
		return ret;
	/* A fixed threshold: what a large message took goes back to the kernel. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	ret = agent_run(&options, &err);
	if (ret < 0) {
		agent_log(AGENT_LOG_ERROR, "%s", err.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
