// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent.h"
#include "guest_cpu.h"
#include "guest_info.h"
#include "guest_vsock.h"
#include "metrics_out.h"
#include "mounts.h"
#include "net.h"
#include "pressure.h"
#include "sysfile.h"
#include "usage.h"

#define STAT_MAX (1u << 20) /* /proc/stat has a line for each CPU and interrupt */

static void put_cpus(struct metrics_out *out, const char *root)
{
	struct guest_cpus cpus;

	if (guest_cpu_read(root, &cpus, NULL) < 0)
		return;
	metrics_gauge(out, "vmctl_guest_cpus", "Logical CPUs.");
	metrics_sample(out, guest_cpu_count(&cpus.possible), "state", "possible", NULL);
	metrics_sample(out, guest_cpu_count(&cpus.present), "state", "present", NULL);
	metrics_sample(out, guest_cpu_count(&cpus.online), "state", "online", NULL);
}

static void put_cpu_line(struct metrics_out *out, const char *line)
{
	static const char *const modes[] = {"user",   "nice", "system",	 "idle",
					    "iowait", "irq",  "softirq", "steal"};
	double hz = (double)sysconf(_SC_CLK_TCK);
	unsigned long long ticks;
	char cpu[16], *end;
	size_t digits = strspn(line + 3, "0123456789");

	if (!digits || digits >= sizeof(cpu))
		return;
	memcpy(cpu, line + 3, digits);
	cpu[digits] = '\0';
	line += 3 + digits;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ticks = strtoull(line, &end, 10);
		if (end == line)
			return;
		line = end;
		metrics_sample(out, (double)ticks / hz, "cpu", cpu, "mode", modes[i],
			       NULL);
	}
}

static void put_cpu_time(struct metrics_out *out, const char *root)
{
	char *text = malloc(STAT_MAX), *line, *save;

	if (!text || sysfile_read(root, "/proc/stat", text, STAT_MAX, NULL) < 0) {
		free(text);
		return;
	}
	metrics_counter(out, "vmctl_guest_cpu_seconds",
			"Time that CPUs have spent, by mode.");
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, "cpu", 3))
			put_cpu_line(out, line);
	free(text);
}

static void put_memory(struct metrics_out *out, const char *root)
{
	static const char *const fields[] = {
		"MemTotal", "MemFree", "MemAvailable", "Buffers",  "Cached",
		"Shmem",    "Slab",    "SwapTotal",    "SwapFree",
	};
	char text[SYSFILE_MAX];
	uint64_t bytes;

	if (sysfile_read(root, "/proc/meminfo", text, sizeof(text), NULL) < 0)
		return;
	metrics_gauge(out, "vmctl_guest_memory_bytes", "Fields of /proc/meminfo.");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!guest_info_parse_meminfo(text, fields[i], &bytes))
			metrics_sample(out, (double)bytes, "field", fields[i], NULL);
}

static void put_pressure(struct metrics_out *out, const char *root)
{
	struct pressure p[PRESSURE_COUNT];
	int ret = 0, i;

	for (i = 0; !ret && i < PRESSURE_COUNT; i++)
		ret = pressure_read(root, pressure_names[i], &p[i]);
	if (ret)
		return;
	metrics_counter(out, "vmctl_guest_pressure_seconds",
			"Time in which some tasks, or all, waited for a resource.");
	for (i = 0; i < PRESSURE_COUNT; i++) {
		metrics_sample(out, (double)p[i].some.total_usec / 1e6, "resource",
			       pressure_names[i], "tasks", "some", NULL);
		metrics_sample(out, (double)p[i].full.total_usec / 1e6, "resource",
			       pressure_names[i], "tasks", "full", NULL);
	}
	metrics_gauge(out, "vmctl_guest_pressure_ratio",
		      "The part of the last ten seconds in which they did.");
	for (i = 0; i < PRESSURE_COUNT; i++) {
		metrics_sample(out, p[i].some.avg10 / 100, "resource",
			       pressure_names[i], "tasks", "some", NULL);
		metrics_sample(out, p[i].full.avg10 / 100, "resource",
			       pressure_names[i], "tasks", "full", NULL);
	}
}

static void put_load(struct metrics_out *out, const char *root)
{
	static const char *const minutes[] = {"1", "5", "15"};
	char text[SYSFILE_MAX];
	double load[3];

	if (sysfile_read(root, "/proc/loadavg", text, sizeof(text), NULL) < 0 ||
	    sscanf(text, "%lf %lf %lf", &load[0], &load[1], &load[2]) != 3)
		return;
	metrics_gauge(out, "vmctl_guest_load", "Load averages.");
	for (int i = 0; i < 3; i++)
		metrics_sample(out, load[i], "minutes", minutes[i], NULL);
}

static void put_oom(struct metrics_out *out, const char *root)
{
	char text[SYSFILE_MAX];
	const char *at;

	if (sysfile_read(root, "/proc/vmstat", text, sizeof(text), NULL) < 0)
		return;
	at = strstr(text, "oom_kill ");
	if (!at)
		return;
	metrics_counter(out, "vmctl_guest_oom_kills",
			"Processes that were killed for want of memory.");
	metrics_sample(out, strtod(at + strlen("oom_kill "), NULL), NULL);
}

static void put_traffic(struct metrics_out *out, const struct net_interface *list,
			size_t n, const char *name, const char *help, size_t rx,
			size_t tx)
{
	metrics_counter(out, name, help);
	for (size_t i = 0; i < n; i++) {
		const char *base = (const char *)&list[i];

		metrics_sample(out, (double)*(const uint64_t *)(base + rx), "interface",
			       list[i].name, "direction", "receive", NULL);
		metrics_sample(out, (double)*(const uint64_t *)(base + tx), "interface",
			       list[i].name, "direction", "transmit", NULL);
	}
}

#define TRAFFIC(what)                              \
	offsetof(struct net_interface, rx_##what), \
		offsetof(struct net_interface, tx_##what)

static void put_network(struct metrics_out *out)
{
	struct net_interface *list;
	size_t n;

	if (net_interfaces(&list, &n, NULL))
		return;
	metrics_gauge(out, "vmctl_guest_network_up", "Whether an interface is up.");
	for (size_t i = 0; i < n; i++)
		metrics_sample(out, list[i].up, "interface", list[i].name, NULL);
	put_traffic(out, list, n, "vmctl_guest_network_bytes", "Bytes.",
		    TRAFFIC(bytes));
	put_traffic(out, list, n, "vmctl_guest_network_packets", "Packets.",
		    TRAFFIC(packets));
	put_traffic(out, list, n, "vmctl_guest_network_errors", "Errors.",
		    TRAFFIC(errors));
	put_traffic(out, list, n, "vmctl_guest_network_dropped", "Packets dropped.",
		    TRAFFIC(dropped));
	net_interfaces_free(list, n);
}

static void put_usage(struct metrics_out *out, const struct mounts *mounts,
		      const struct usage *usage)
{
	static const char *const families[][2] = {
		{"vmctl_guest_filesystem_size_bytes", "Size of file systems."},
		{"vmctl_guest_filesystem_free_bytes", "What is free, to root."},
		{"vmctl_guest_filesystem_avail_bytes", "What is free, to others."},
		{"vmctl_guest_filesystem_files", "Inodes, used or not."},
		{"vmctl_guest_filesystem_files_free", "Inodes that are free."},
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		metrics_gauge(out, families[f][0], families[f][1]);
		for (size_t i = 0; i < mounts->n; i++) {
			const struct mount *m = &mounts->mount[i];
			const struct statvfs *s = &usage[i].stat;
			double block = (double)s->f_frsize;
			double values[] = {(double)s->f_blocks * block,
					   (double)s->f_bfree * block,
					   (double)s->f_bavail * block,
					   (double)s->f_files, (double)s->f_ffree};

			if (!usage[i].error && s->f_blocks)
				metrics_sample(out, values[f], "device", m->source,
					       "mountpoint", m->mountpoint, "fstype",
					       m->type, NULL);
		}
	}
}

/* Those that have blocks, and answer. */
static void put_file_systems(struct metrics_out *out, const char *root)
{
	struct usage *usage = NULL;
	struct mounts mounts;
	struct error err;

	if (!mounts_read(root, &mounts, &err))
		usage = calloc(mounts.n + 1, sizeof(*usage));
	if (usage) {
		usage_read(&mounts, false, usage);
		put_usage(out, &mounts, usage);
	}
	free(usage);
	mounts_free(&mounts);
}

static void put_vsock(struct metrics_out *out, const char *root)
{
	static const char *const states[] = {"established", "listen", "connecting",
					     "closing"};
	struct guest_vsock *list;
	size_t n;

	/* With a root of its own the kernel is not that guest's. */
	if (*root || guest_vsock_list(&list, &n, NULL))
		return;
	metrics_gauge(out, "vmctl_guest_vsock_sockets", "vsock sockets, by state.");
	for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
		size_t count = 0;

		for (size_t i = 0; i < n; i++)
			count += !strcmp(list[i].state, states[s]);
		metrics_sample(out, (double)count, "state", states[s], NULL);
	}
	free(list);
}

static void put_agent(struct metrics_out *out, const struct agent *agent)
{
	const struct agent_figures *f = &agent->figures;
	struct guest_info info;

	if (!guest_info_read(agent->options->root, &info, NULL)) {
		metrics_gauge(out, "vmctl_guest_info", "What the guest is; always 1.");
		metrics_sample(out, 1, "kernel", info.names.release, "agent",
			       VMCTL_VERSION, "module", info.module_version, NULL);
		metrics_gauge(out, "vmctl_guest_uptime_seconds", "Since its boot.");
		metrics_sample(out, (double)info.uptime_nano / 1e9, NULL);
	}
	metrics_gauge(out, "vmctl_agent_connections_open", "Connections to the agent.");
	metrics_sample(out, agent->n_sessions, NULL);
	metrics_counter(out, "vmctl_agent_connections", "Those there were.");
	metrics_sample(out, (double)f->connections, NULL);
	metrics_counter(out, "vmctl_agent_calls", "Calls, this one included.");
	metrics_sample(out, (double)f->calls, NULL);
	metrics_counter(out, "vmctl_agent_calls_failed", "Calls with a bad status.");
	metrics_sample(out, (double)f->calls_failed, NULL);
	metrics_counter(out, "vmctl_agent_events", "Events that were sent.");
	metrics_sample(out, (double)f->events, NULL);
	metrics_counter(out, "vmctl_agent_events_lost",
			"Events that a subscriber had no room for.");
	metrics_sample(out, (double)f->events_lost, NULL);
	metrics_gauge(out, "vmctl_agent_processes_left",
		      "Processes of calls that have ended, and they have not.");
	metrics_sample(out, (double)agent->children.n_orphans + usage_hung(), NULL);
}

char *metrics_text(const struct agent *agent, enum metrics_format format,
		   struct error *err)
{
	const char *root = agent->options->root;
	struct metrics_out out = {.format = format};
	char *text = NULL;
	size_t size;

	out.to = open_memstream(&text, &size);
	if (!out.to) {
		error_set(err, -ENOMEM, "no memory for the metrics");
		return NULL;
	}
	put_agent(&out, agent);
	put_cpus(&out, root);
	put_cpu_time(&out, root);
	put_memory(&out, root);
	put_pressure(&out, root);
	put_load(&out, root);
	put_oom(&out, root);
	put_network(&out);
	put_vsock(&out, root);
	put_file_systems(&out, root);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out.to);
	if (fclose(out.to)) {
		free(text);
		error_set(err, -ENOMEM, "no memory for the metrics");
		return NULL;
	}
	return text;
}
