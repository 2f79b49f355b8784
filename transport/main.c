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

#include "amount.h"
#include "error.h"
#include "limits.h"
#include "holder.h"
#include "log.h"
#include "notify.h"
#include "peer.h"
#include "vsockd.h"

/* The sanitizers make system calls of their own. */
#ifdef __SANITIZE_ADDRESS__
#define SANDBOX_DEFAULT SANDBOX_NONE
#else
#define SANDBOX_DEFAULT SANDBOX_ON
#endif

enum {
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2,
	BUSY_POLL_MAX = 1000000, /* µs */
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
	"  --peers DIR        join the guest to those whose sockets are in that "
	"directory\n"
	"  --listen PORT=ADDRESS\n"
	"                     listen at unix:PATH or tcp:HOST:PORT for the guest's "
	"PORT\n"
	"  --connect PORT=ADDRESS\n"
	"                     the guest's connections to PORT of the host go there\n"
	"  --forward vsock:CID\n"
	"                     those that lead nowhere go to that CID's port\n"
	"  --control PATH     Unix socket for those who ask how it goes (vmctl vsock)\n"
	"  --privileged-group GROUP\n"
	"                     host programs of that group, besides those of root, have "
	"a\n"
	"                     port below 1024 in the guest's eyes\n"
	"  --max-connections N\n"
	"  --conn-buffer BYTES held for a host program that does not read\n"
	"  --buffer-total BYTES\n"
	"                     for all of them together\n"
	"  --connect-rate N   new connections a second (0: as many as come)\n"
	"  --rate BYTES       a second, each way (0: as many as come)\n"
	"  --busy-poll USEC   look for work for so long before going to sleep\n"
	"  --user USER[:GROUP] be that user, from before the sockets are made\n"
	"  --sandbox on|log|none\n"
	"                     how to treat the daemon's own deeds: what it should not "
	"do\n"
	"                     kills it (on), or is logged by the kernel (log)\n"
	"  --no-hold          without the small parent that starts the daemon again "
	"when "
	"it\n"
	"                     dies, where there is no service manager to do so\n"
	"  --verbose          log connections and vhost-user messages\n"
	"  --version, --help\n";

enum option_id {
	OPT_CID = 1,
	OPT_VHOST_USER,
	OPT_UDS,
	OPT_PEERS,
	OPT_CONTROL,
	OPT_LISTEN,
	OPT_CONNECT,
	OPT_FORWARD,
	OPT_PRIVILEGED_GROUP,
	OPT_MAX_CONNECTIONS,
	OPT_CONN_BUFFER,
	OPT_BUFFER_TOTAL,
	OPT_CONNECT_RATE,
	OPT_RATE,
	OPT_BUSY_POLL,
	OPT_USER,
	OPT_SANDBOX,
	OPT_NO_HOLD,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"cid", required_argument, NULL, OPT_CID},
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"uds", required_argument, NULL, OPT_UDS},
	{"peers", required_argument, NULL, OPT_PEERS},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"connect", required_argument, NULL, OPT_CONNECT},
	{"forward", required_argument, NULL, OPT_FORWARD},
	{"privileged-group", required_argument, NULL, OPT_PRIVILEGED_GROUP},
	{"max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS},
	{"conn-buffer", required_argument, NULL, OPT_CONN_BUFFER},
	{"buffer-total", required_argument, NULL, OPT_BUFFER_TOTAL},
	{"connect-rate", required_argument, NULL, OPT_CONNECT_RATE},
	{"rate", required_argument, NULL, OPT_RATE},
	{"busy-poll", required_argument, NULL, OPT_BUSY_POLL},
	{"user", required_argument, NULL, OPT_USER},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	{"no-hold", no_argument, NULL, OPT_NO_HOLD},
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
	uint64_t number;

	if (!group && amount_parse(name, 0, INT32_MAX, &number) == 0)
		return (gid_t)number;
	if (!group)
		refuse("--privileged-group %s: there is no such group", name);
	return group->gr_gid;
}

static void parse_user(struct vsockd_options *options)
{
	struct error err;

	if (sandbox_parse_user(optarg, &options->user, &err) < 0)
		refuse("--user %s: %s", optarg, err.text);
}

static enum sandbox_mode parse_sandbox(void)
{
	static const char *const names[] = {
		[SANDBOX_NONE] = "none",
		[SANDBOX_LOG] = "log",
		[SANDBOX_ON] = "on",
	};

	for (int i = SANDBOX_NONE; i <= SANDBOX_ON; i++)
		if (!strcmp(optarg, names[i]))
			return (enum sandbox_mode)i;
	refuse("--sandbox %s: on, log or none was expected", optarg);
}

static void parse_map(const char *option, struct maps *maps, bool several)
{
	struct error err;

	if (maps_add(maps, optarg, several, &err) < 0)
		refuse("%s %s: %s", option, optarg, err.text);
}

static uint32_t parse_forward(const char *text)
{
	struct endpoint ep;
	struct error err;

	if (endpoint_parse_address(text, &ep, &err) < 0)
		refuse("--forward %s: %s", text, err.text);
	if (ep.kind != ENDPOINT_VSOCK)
		refuse("--forward %s: vsock:CID was expected", text);
	return ep.cid;
}

static uint64_t parse_amount(const char *option, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (amount_parse(optarg, min, max, &value) < 0)
		refuse("%s %s: a number from %llu to %llu was expected, K, M or G may "
		       "follow it",
		       option, optarg, (unsigned long long)min,
		       (unsigned long long)max);
	return value;
}

/* False when it is no such option. */
static bool parse_route(int opt, struct vsockd_options *options)
{
	switch (opt) {
	case OPT_PEERS:
		options->peers = optarg;
		return true;
	case OPT_LISTEN:
		parse_map("--listen", &options->listen, true);
		return true;
	case OPT_CONNECT:
		parse_map("--connect", &options->connect, false);
		return true;
	case OPT_FORWARD:
		options->forward_cid = parse_forward(optarg);
		return true;
	default:
		return false;
	}
}

/* False when it is no such option. */
static bool parse_limit(int opt, struct limits *limits)
{
	switch (opt) {
	case OPT_MAX_CONNECTIONS:
		limits->max_connections = (uint32_t)parse_amount(
			"--max-connections", 1, LIMITS_CONNECTIONS_MAX);
		return true;
	case OPT_CONN_BUFFER:
		limits->conn_buffer =
			(uint32_t)parse_amount("--conn-buffer", LIMITS_CONN_BUFFER_MIN,
					       LIMITS_CONN_BUFFER_MAX);
		return true;
	case OPT_BUFFER_TOTAL:
		limits->buffer_total = parse_amount(
			"--buffer-total", LIMITS_CONN_BUFFER_MIN, LIMITS_RATE_MAX);
		return true;
	case OPT_CONNECT_RATE:
		limits->connect_rate =
			(uint32_t)parse_amount("--connect-rate", 0, UINT32_MAX);
		return true;
	case OPT_RATE:
		limits->rate = parse_amount("--rate", 0, LIMITS_RATE_MAX);
		return true;
	default:
		return false;
	}
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
		case OPT_CONTROL:
			options->control = optarg;
			break;
		case OPT_PRIVILEGED_GROUP:
			options->privileged_group = parse_group(optarg);
			break;
		case OPT_BUSY_POLL:
			options->busy_poll =
				(uint32_t)parse_amount("--busy-poll", 0, BUSY_POLL_MAX);
			break;
		case OPT_USER:
			parse_user(options);
			break;
		case OPT_SANDBOX:
			options->sandbox = parse_sandbox();
			break;
		case OPT_NO_HOLD:
			options->no_hold = true;
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
			if (!parse_limit(opt, &options->limits) &&
			    !parse_route(opt, options))
				exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		refuse("%s: no such argument", argv[optind]);
	if (!options->cid || !options->vhost_user || !options->uds)
		refuse("--cid, --vhost-user and --uds are all needed");
	if (!strcmp(options->vhost_user, options->uds))
		refuse("--vhost-user and --uds must be two paths");
	if (options->control && (!strcmp(options->control, options->uds) ||
				 !strcmp(options->control, options->vhost_user)))
		refuse("--control must be a path of its own");
	return verbose;
}

/* A manager, or a holder, that started this process sees to the next one. */
static int run(const struct vsockd_options *options, char **argv, struct error *err)
{
	if (getenv(NOTIFY_HOLDER_ENV))
		return vsockd_run(options, err);
	if (notify_has_manager()) {
		log_info("the service manager holds the place of this process");
		return vsockd_run(options, err);
	}
	if (options->no_hold)
		return vsockd_run(options, err);
	log_info("this process holds the place of the one that does the work");
	return holder_run(argv, err);
}

int main(int argc, char **argv)
{
	struct vsockd_options options = {.privileged_group = PEER_NO_GROUP,
					 .limits = LIMITS_DEFAULT,
					 .sandbox = SANDBOX_DEFAULT};
	struct error err;
	char tag[32];
	bool verbose = parse_options(argc, argv, &options);
	int status;

	snprintf(tag, sizeof(tag), "cid %u", options.cid);
	log_init(tag, verbose);
	status = run(&options, argv, &err);
	if (status < 0) {
		log_error("%s", err.text);
		status = EXIT_RUNTIME;
	}
	maps_free(&options.listen);
	maps_free(&options.connect);
	return status;
}
