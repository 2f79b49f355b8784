/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsockd: a vhost-user virtio-vsock device with a Unix socket on the host's side.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "peer.h"
#include "vsockd.h"

enum {
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2
};

static const char usage[] =
	"usage: vsockd --cid N --vhost-user PATH --uds PATH [options]\n"
	"\n"
	"A virtio-vsock device for one virtual machine.\n"
	"\n"
	"  --cid N            the guest's CID, 3 to 4294967294\n"
	"  --vhost-user PATH  Unix socket that QEMU connects to\n"
	"  --uds PATH         Unix socket for host programs: \"CONNECT <port>\\n\" "
	"goes\n"
	"                     to the guest's port; the guest's connections to port P "
	"of\n"
	"                     the host go to the Unix socket PATH_P\n"
	"  --privileged-group GROUP\n"
	"                     host programs of that group, besides those of root, have "
	"a\n"
	"                     port below 1024 in the guest's eyes\n"
	"  --verbose          log connections and vhost-user messages\n"
	"  --version, --help\n";

enum option_id {
	OPT_CID = 1,
	OPT_VHOST_USER,
	OPT_UDS,
	OPT_PRIVILEGED_GROUP,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"cid", required_argument, NULL, OPT_CID},
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"uds", required_argument, NULL, OPT_UDS},
	{"privileged-group", required_argument, NULL, OPT_PRIVILEGED_GROUP},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *fmt, ...)
{
	va_list args;

	fputs("vsockd: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; see vsockd --help\n", stderr);
	exit(EXIT_USAGE);
}

static uint32_t parse_cid(const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < VSOCKD_CID_MIN ||
	    value >= UINT32_MAX)
		refuse("--cid %s: a number from %d to 4294967294 was expected", text,
		       VSOCKD_CID_MIN);
	return (uint32_t)value;
}

static gid_t parse_group(const char *name)
{
	const struct group *group = getgrnam(name);

	if (!group)
		refuse("--privileged-group %s: there is no such group", name);
	return group->gr_gid;
}

static bool parse_options(int argc, char **argv, struct vsockd_options *options)
{
	bool verbose = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_CID:
			options->cid = parse_cid(optarg);
			break;
		case OPT_VHOST_USER:
			options->vhost_user = optarg;
			break;
		case OPT_UDS:
			options->uds = optarg;
			break;
		case OPT_PRIVILEGED_GROUP:
			options->privileged_group = parse_group(optarg);
			break;
		case OPT_VERBOSE:
			verbose = true;
			break;
		case OPT_VERSION:
			puts("vsockd " VMCTL_VERSION);
			exit(0);
		case OPT_HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		refuse("%s: no such argument", argv[optind]);
	if (!options->cid || !options->vhost_user || !options->uds)
		refuse("--cid, --vhost-user and --uds are all needed");
	if (!strcmp(options->vhost_user, options->uds))
		refuse("--vhost-user and --uds must be two paths");
	return verbose;
}

int main(int argc, char **argv)
{
	struct vsockd_options options = {.privileged_group = PEER_NO_GROUP};
	struct error err;
	char tag[32];
	bool verbose = parse_options(argc, argv, &options);

	snprintf(tag, sizeof(tag), "cid %u", options.cid);
	log_init(tag, verbose);
	if (vsockd_run(&options, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_RUNTIME;
	}
	return 0;
}
