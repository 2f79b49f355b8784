/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock-ring: plays a virtual machine monitor and its guest's virtio-vsock driver
 * for a vhost-user vsock back-end, and measures that.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "figure.h"
#include "pattern.h"
#include "rows.h"

enum {
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2,
	PATIENCE = 600, /* seconds for one row */
	QUICK_PATIENCE = 60,
	QUICK_IDLE = 100,
};

struct options options = {
	.cid = 42,
	.rounds = 7,
	.seconds = 0.5,
	.idle_max = 10000,
	.cpu = {NOT_PINNED, NOT_PINNED, NOT_PINNED},
	.ring = 128,
	.rx_size = 3776,
	.event_idx = true,
};

static const char *doing = "the start";

static const char usage[] =
	"usage: vsock-ring --spawn COMMAND [options]\n"
	"       vsock-ring --vhost-user PATH --uds PATH [options]\n"
	"\n"
	"Measures a vhost-user vsock back-end as its monitor and guest, beside what "
	"the\n"
	"sockets underneath can do.\n"
	"\n"
	"  --spawn COMMAND       start it: {vhost-user}, {uds} and {cid} stand for "
	"what "
	"it\n"
	"                        is to use\n"
	"  --spawn-busy COMMAND  the same, so that it polls: for the row rtt-spin\n"
	"  --peer COMMAND        another one to compare with, by turns\n"
	"  --vhost-user PATH, --uds PATH\n"
	"                        use one that runs already\n"
	"  --pid N               whose CPU time and memory that is (default: whose "
	"socket)\n"
	"  --cid N               for {cid} (42)\n"
	"\n"
	"  --only NAME,...       these rows (--list names them)\n"
	"  --rounds N            of each (7)\n"
	"  --seconds N           of each round (0.5)\n"
	"  --quick               one short round; every byte is checked\n"
	"  --idle-max N          idle connections, at most (10000)\n"
	"  --pin D,B,H           CPUs of the driver, the back-end, the host program; "
	"or "
	"none\n"
	"                        (0,1,2; with two CPUs 0,0,1)\n"
	"  --json FILE           write the figures there, too\n"
	"\n"
	"The monitor and the guest:\n"
	"  --sequence NAME       messages as qemu, cloud-hypervisor or crosvm sends "
	"them\n"
	"  --ring N              entries of each ring (128)\n"
	"  --rx-size N           bytes of a receive buffer (3776)\n"
	"  --rx-split            its header is a descriptor of its own\n"
	"  --tx-layout NAME      descriptors of a packet: split (header, data; "
	"default),\n"
	"                        one, pages (header, data in pieces of 32 KiB)\n"
	"  --indirect            use indirect descriptors\n"
	"  --no-event-idx        without event indices\n"
	"  --packed              a packed ring\n"
	"  --tx-interrupts       wait for the end of each transmission, as Linux does\n"
	"  --eager-credit        tell the credit whenever a program has read all, as "
	"Linux\n"
	"                        from 6.8 on does\n"
	"  --list, --help\n";

void bench_doing(const char *what)
{
	doing = what;
	alarm(options.quick ? QUICK_PATIENCE : PATIENCE);
	fprintf(stderr, "vsock-ring: %s\n", what);
}

static void complain(const char *fmt, va_list args, const char *reason)
{
	fprintf(stderr, "vsock-ring: %s: ", doing);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "%s%s\n", reason ? ": " : "", reason ? reason : "");
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(fmt, args, NULL);
	va_end(args);
	exit(EXIT_RUNTIME);
}

void die_errno(const char *fmt, ...)
{
	const char *reason = strerror(errno);
	va_list args;

	va_start(args, fmt);
	complain(fmt, args, reason);
	va_end(args);
	exit(EXIT_RUNTIME);
}

static void on_alarm(int signo)
{
	static const char text[] =
		"vsock-ring: nothing moves any more; the back-end's log "
		"is in /tmp/vsock-ring-*\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	_exit(signo == SIGALRM ? EXIT_RUNTIME : EXIT_USAGE);
}

enum option_id {
	OPT_SPAWN = 1,
	OPT_SPAWN_BUSY,
	OPT_PEER,
	OPT_VHOST_USER,
	OPT_UDS,
	OPT_PID,
	OPT_CID,
	OPT_ONLY,
	OPT_ROUNDS,
	OPT_SECONDS,
	OPT_QUICK,
	OPT_IDLE_MAX,
	OPT_PIN,
	OPT_JSON,
	OPT_SEQUENCE,
	OPT_RING,
	OPT_RX_SIZE,
	OPT_RX_SPLIT,
	OPT_TX_LAYOUT,
	OPT_INDIRECT,
	OPT_NO_EVENT_IDX,
	OPT_PACKED,
	OPT_TX_INTERRUPTS,
	OPT_EAGER_CREDIT,
	OPT_LIST,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"spawn", required_argument, NULL, OPT_SPAWN},
	{"spawn-busy", required_argument, NULL, OPT_SPAWN_BUSY},
	{"peer", required_argument, NULL, OPT_PEER},
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"uds", required_argument, NULL, OPT_UDS},
	{"pid", required_argument, NULL, OPT_PID},
	{"cid", required_argument, NULL, OPT_CID},
	{"only", required_argument, NULL, OPT_ONLY},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"idle-max", required_argument, NULL, OPT_IDLE_MAX},
	{"pin", required_argument, NULL, OPT_PIN},
	{"json", required_argument, NULL, OPT_JSON},
	{"sequence", required_argument, NULL, OPT_SEQUENCE},
	{"ring", required_argument, NULL, OPT_RING},
	{"rx-size", required_argument, NULL, OPT_RX_SIZE},
	{"rx-split", no_argument, NULL, OPT_RX_SPLIT},
	{"tx-layout", required_argument, NULL, OPT_TX_LAYOUT},
	{"indirect", no_argument, NULL, OPT_INDIRECT},
	{"no-event-idx", no_argument, NULL, OPT_NO_EVENT_IDX},
	{"packed", no_argument, NULL, OPT_PACKED},
	{"tx-interrupts", no_argument, NULL, OPT_TX_INTERRUPTS},
	{"eager-credit", no_argument, NULL, OPT_EAGER_CREDIT},
	{"list", no_argument, NULL, OPT_LIST},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *fmt, ...)
{
	va_list args;

	fputs("vsock-ring: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; see vsock-ring --help\n", stderr);
	exit(EXIT_USAGE);
}

static double number(const char *name, double min, double max)
{
	char *end;
	double value = strtod(optarg, &end);

	if (end == optarg || *end || !(value >= min && value <= max))
		refuse("--%s %s: a number from %g to %g was expected", name, optarg,
		       min, max);
	return value;
}

static int choice(const char *name, const char *const *choices, int count)
{
	for (int i = 0; i < count; i++) {
		if (!strcmp(optarg, choices[i]))
			return i;
	}
	refuse("--%s %s: there is no such choice", name, optarg);
}

static void parse_pin(void)
{
	int *cpu = options.cpu;
	char rest;

	if (!strcmp(optarg, "none")) {
		cpu[CPU_DRIVER] = cpu[CPU_BACKEND] = cpu[CPU_HOST] = NOT_PINNED;
		return;
	}
	if (sscanf(optarg, "%d,%d,%d%c", &cpu[CPU_DRIVER], &cpu[CPU_BACKEND],
		   &cpu[CPU_HOST], &rest) != 3)
		refuse("--pin %s: three CPUs were expected", optarg);
}

static void default_pin(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < 2)
		return;
	/* With two CPUs, the guest's side on one of them and the host's on the other.
	 */
	options.cpu[CPU_DRIVER] = 0;
	options.cpu[CPU_BACKEND] = cpus > 2 ? 1 : 0;
	options.cpu[CPU_HOST] = cpus > 2 ? 2 : 1;
}

static void parse_run(int opt)
{
	switch (opt) {
	case OPT_ONLY:
		options.only = optarg;
		break;
	case OPT_ROUNDS:
		options.rounds = (unsigned int)number("rounds", 1, FIGURE_ROUNDS_MAX);
		break;
	case OPT_SECONDS:
		options.seconds = number("seconds", 0.001, 60);
		break;
	case OPT_QUICK:
		options.quick = true;
		options.rounds = 1;
		options.seconds = 0.05;
		options.idle_max = QUICK_IDLE;
		break;
	case OPT_IDLE_MAX:
		options.idle_max = (unsigned int)number("idle-max", 1, 16000);
		break;
	case OPT_PIN:
		parse_pin();
		break;
	case OPT_JSON:
		options.json = optarg;
		break;
	case OPT_LIST:
		for (unsigned int i = 0; rows_name(i); i++)
			puts(rows_name(i));
		exit(0);
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		exit(EXIT_USAGE);
	}
}

static void parse_guest(int opt)
{
	static const char *const sequences[] = {"qemu", "cloud-hypervisor", "crosvm"};
	static const char *const layouts[] = {"split", "one", "pages"};

	switch (opt) {
	case OPT_SEQUENCE:
		options.sequence = (enum sequence)choice("sequence", sequences, 3);
		break;
	case OPT_RING:
		options.ring = (unsigned int)number("ring", 4, 32768);
		break;
	case OPT_RX_SIZE:
		options.rx_size = (unsigned int)number("rx-size", 128, 1 << 20);
		break;
	case OPT_RX_SPLIT:
		options.rx_split = true;
		break;
	case OPT_TX_LAYOUT:
		options.tx_layout = (enum tx_layout)choice("tx-layout", layouts, 3);
		break;
	case OPT_INDIRECT:
		options.indirect = true;
		break;
	case OPT_NO_EVENT_IDX:
		options.event_idx = false;
		break;
	case OPT_PACKED:
		options.packed = true;
		break;
	case OPT_TX_INTERRUPTS:
		options.tx_interrupts = true;
		break;
	case OPT_EAGER_CREDIT:
		options.eager_credit = true;
		break;
	default:
		parse_run(opt);
	}
}

static void parse_backend(int opt)
{
	switch (opt) {
	case OPT_SPAWN:
		options.spawn = optarg;
		break;
	case OPT_SPAWN_BUSY:
		options.spawn_busy = optarg;
		break;
	case OPT_PEER:
		options.peer = optarg;
		break;
	case OPT_VHOST_USER:
		options.vhost_user = optarg;
		break;
	case OPT_UDS:
		options.uds = optarg;
		break;
	case OPT_PID:
		options.pid = (pid_t)number("pid", 1, 1 << 22);
		break;
	case OPT_CID:
		options.cid = (uint32_t)number("cid", 3, 4294967294.0);
		break;
	default:
		parse_guest(opt);
	}
}

static void parse(int argc, char **argv)
{
	int opt;

	default_pin();
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_backend(opt);
	if (optind < argc)
		refuse("%s: no such argument", argv[optind]);
	if (!options.spawn == !options.vhost_user)
		refuse("either --spawn or --vhost-user is needed");
	if (!options.vhost_user != !options.uds)
		refuse("--vhost-user and --uds go together");
	if (!options.packed && options.ring & (options.ring - 1))
		refuse("--ring %u: a split ring has a power of two", options.ring);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGALRM, on_alarm);
	signal(SIGPIPE, SIG_IGN);
	pattern_init();
	rows_run(options.only);
	figures_print(stdout);
	if (options.json)
		figures_save(options.json);
	return 0;
}
