/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "ceiling.h"
#include "connects.h"
#include "figure.h"
#include "flow.h"
#include "latency.h"

#define MIB (1024.0 * 1024.0)

enum {
	IDLE_SIZE = 4096, /* messages of the busy connection among idle ones */
	OTHER_FILES = 100,
};

/*
 * The peer (vhost-device-vsock) as it once was on a machine whose socket pair did so
 * much: what is compared with, to scale, when --peer gives none.
 */
struct known {
	double pair, rate; /* MiB/s */
	double cpu;	   /* seconds for each GiB */
};

struct row {
	const char *name;
	void (*run)(const struct row *row);
	bool to_host;
	unsigned int number; /* bytes of a message, or connections */
	enum goal goal;
	double goal_value;
	struct known known;
};

/* Two back-ends by turns: the one that is measured, and the peer if there is one. */
struct pair {
	struct instance own, peer;
};

static const char *own_command(void)
{
	return options.vhost_user ? NULL : options.spawn;
}

static void pair_open(struct pair *pair)
{
	*pair = (struct pair){0};
	instance_open(&pair->own, own_command());
	if (options.peer)
		instance_open(&pair->peer, options.peer);
}

static void pair_close(struct pair *pair)
{
	instance_close(&pair->own);
	if (options.peer)
		instance_close(&pair->peer);
}

/* What is known of the peer, where the socket pair does what the ceiling did. */
static struct sample estimate(const struct known *known, const struct sample *ceiling)
{
	/* One side of that pair was busy all the time. */
	double pair_cpu = 1024 / known->pair;

	return (struct sample){.rate = ceiling->rate * known->rate / known->pair,
			       .cpu = ceiling->cpu * known->cpu / pair_cpu};
}

static void throughput(const struct row *row)
{
	struct figure *rate =
		figure_new(row->name, "MiB/s", row->goal, row->goal_value);
	struct sample own, ceiling, other;
	struct figure *cpu;
	struct flow flow, peer_flow;
	struct pair pair;
	char name[32];

	snprintf(name, sizeof(name), "%s-cpu", row->name);
	/* Of 64 bytes, the kernel's own work for each message is the most by far. */
	cpu = figure_new(name, "s/GiB", row->number > 64 ? GOAL_UP_TO_PEER : GOAL_NONE,
			 1.0 / 3);
	rate->peer_estimated = cpu->peer_estimated = !options.peer;
	pair_open(&pair);
	flow_open(&flow, &pair.own, row->to_host, row->number);
	if (options.peer)
		flow_open(&peer_flow, &pair.peer, row->to_host, row->number);
	for (unsigned int i = 0; i < options.rounds; i++) {
		own = flow_round(&flow);
		ceiling = ceiling_flow(row->to_host, row->number);
		other = options.peer ? flow_round(&peer_flow)
				     : estimate(&row->known, &ceiling);
		figure_add(rate, own.rate / MIB, ceiling.rate / MIB, other.rate / MIB);
		figure_add(cpu, own.cpu, ceiling.cpu, other.cpu);
	}
	flow_close(&flow);
	if (options.peer)
		flow_close(&peer_flow);
	pair_close(&pair);
}

/* One round's percentiles, in microseconds. */
struct trip_sample {
	double p50, p99;
};

static struct trip_sample percentiles(struct latencies *l)
{
	struct trip_sample sample = {latency_percentile(l, 50) / 1e3,
				     latency_percentile(l, 99) / 1e3};

	latency_free(l);
	return sample;
}

static struct trip_sample trips_of(struct instance *inst, bool spin)
{
	struct latencies l = {0};

	latency_round_trips(&l, inst, spin);
	return percentiles(&l);
}

static struct trip_sample trips_of_ceiling(bool spin)
{
	struct latencies l = {0};

	ceiling_round_trips(&l, spin);
	return percentiles(&l);
}

static void round_trip(const struct row *row)
{
	struct figure *p50 = figure_new("rtt-p50", "us", row->goal, row->goal_value);
	struct figure *p99 = figure_new("rtt-p99", "us", GOAL_NONE, 0);
	struct figure *spread = figure_new("rtt-p99/p50", "x", GOAL_UP_TO, 5);
	struct pair pair;

	pair_open(&pair);
	for (unsigned int i = 0; i < options.rounds; i++) {
		struct trip_sample own = trips_of(&pair.own, false);
		struct trip_sample ceiling = trips_of_ceiling(false);
		struct trip_sample other = {NAN, NAN};

		if (options.peer)
			other = trips_of(&pair.peer, false);
		figure_add(p50, own.p50, ceiling.p50, other.p50);
		figure_add(p99, own.p99, ceiling.p99, other.p99);
		figure_add(spread, own.p99 / own.p50, ceiling.p99 / ceiling.p50,
			   other.p99 / other.p50);
	}
	pair_close(&pair);
}

static void round_trip_spin(const struct row *row)
{
	struct figure *p50 =
		figure_new("rtt-spin-p50", "us", row->goal, row->goal_value);
	struct figure *p99 = figure_new("rtt-spin-p99", "us", GOAL_NONE, 0);
	struct instance own = {0}, peer = {0};

	instance_open(&own, options.spawn_busy ? options.spawn_busy : own_command());
	if (options.peer)
		instance_open(&peer, options.peer);
	if (!options.spawn_busy)
		snprintf(p50->note, sizeof(p50->note),
			 "the driver and the host program spin, the back-end does not "
			 "(see --spawn-busy)");
	for (unsigned int i = 0; i < options.rounds; i++) {
		struct trip_sample mine = trips_of(&own, true);
		struct trip_sample ceiling = trips_of_ceiling(true);
		struct trip_sample other = {NAN, NAN};

		if (options.peer)
			other = trips_of(&peer, true);
		figure_add(p50, mine.p50, ceiling.p50, other.p50);
		figure_add(p99, mine.p99, ceiling.p99, other.p99);
	}
	instance_close(&own);
	if (options.peer)
		instance_close(&peer);
}

static void connects(const struct row *row)
{
	double (*of)(struct instance *) =
		row->to_host ? connects_of_guest : connects_of_host;
	struct figure *f = figure_new(row->name, "1/s", row->goal, row->goal_value);
	struct pair pair;

	pair_open(&pair);
	for (unsigned int i = 0; i < options.rounds; i++) {
		double own = of(&pair.own);
		double ceiling = ceiling_connects(!row->to_host);

		figure_add(f, own, ceiling, options.peer ? of(&pair.peer) : NAN);
	}
	pair_close(&pair);
}

/* As many as options allow, or as the limit on open files does. */
static unsigned int idle_count(unsigned int wanted)
{
	struct rlimit limit;

	if (wanted > options.idle_max)
		wanted = options.idle_max;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted + OTHER_FILES)
		wanted = (unsigned int)limit.rlim_cur - OTHER_FILES;
	return wanted;
}

struct idle {
	unsigned int count;
	int *fds;
};

/* Opens them; says in the figure's note when there are fewer than the row wants. */
static void idle_open(struct idle *idle, struct instance *inst, unsigned int wanted,
		      struct figure *f)
{
	unsigned int asked = idle_count(wanted);

	idle->fds = calloc(asked, sizeof(*idle->fds));
	if (!idle->fds)
		die("out of memory");
	/* The first index is the busy one's. */
	idle->count = instance_fill(inst, 1, asked, idle->fds);
	if (idle->count < asked)
		snprintf(f->note, sizeof(f->note),
			 "only %u connections: the back-end refuses more", idle->count);
	else if (asked < wanted)
		snprintf(f->note, sizeof(f->note), "only %u connections", asked);
}

static void idle_close(struct idle *idle)
{
	for (unsigned int i = 0; i < idle->count; i++)
		close(idle->fds[i]);
	free(idle->fds);
}

/* The same connection's throughput beside idle ones and, as the ceiling, alone. */
static void beside_idle(const struct row *row)
{
	struct figure *f = figure_new(row->name, "MiB/s", row->goal, row->goal_value);
	struct instance crowded = {0}, alone = {0};
	double before[FIGURE_ROUNDS_MAX];
	struct flow flow, alone_flow;
	struct idle idle;

	instance_open(&crowded, own_command());
	flow_open(&flow, &crowded, row->to_host, IDLE_SIZE);
	if (own_command()) {
		instance_open(&alone, own_command());
		flow_open(&alone_flow, &alone, row->to_host, IDLE_SIZE);
	}
	/* With one back-end only, it cannot be by turns. */
	for (unsigned int i = 0; i < options.rounds && !own_command(); i++)
		before[i] = flow_round(&flow).rate;
	idle_open(&idle, &crowded, row->number, f);
	for (unsigned int i = 0; i < options.rounds; i++) {
		if (own_command())
			before[i] = flow_round(&alone_flow).rate;
		figure_add(f, flow_round(&flow).rate / MIB, before[i] / MIB, NAN);
	}
	if (own_command()) {
		flow_close(&alone_flow);
		instance_close(&alone);
	}
	idle_close(&idle);
	flow_close(&flow);
	instance_close(&crowded);
}

static double memory_each(struct instance *inst, const struct row *row,
			  struct figure *f)
{
	uint64_t before = backend_memory(&inst->backend);
	struct idle idle;
	double each;

	idle_open(&idle, inst, row->number, f);
	each = ((double)backend_memory(&inst->backend) - (double)before) / idle.count;
	idle_close(&idle);
	return each;
}

static void memory(const struct row *row)
{
	struct figure *f = figure_new("memory-idle", "KiB", row->goal, row->goal_value);
	struct figure *each =
		figure_new("memory-connection", "bytes", GOAL_UP_TO, 1024);
	double peer_idle = NAN, peer_each = NAN;
	struct pair pair;

	pair_open(&pair);
	if (options.peer) {
		peer_idle = (double)backend_memory(&pair.peer.backend) / 1024;
		peer_each = memory_each(&pair.peer, row, each);
		each->note[0] = 0;
	}
	figure_add(f, (double)backend_memory(&pair.own.backend) / 1024, NAN, peer_idle);
	figure_add(each, memory_each(&pair.own, row, each), NAN, peer_each);
	pair_close(&pair);
}

static const struct row rows[] = {
	{"g2h-64k", throughput, true, 65536, GOAL_OF_CEILING, 0.8, {4250, 868, 0.69}},
	{"h2g-64k", throughput, false, 65536, GOAL_OF_CEILING, 0.6, {5018, 277, 3.2}},
	{"g2h-4k", throughput, true, 4096, GOAL_OF_CEILING, 0.8, {2202, 472, 1.6}},
	{"h2g-4k", throughput, false, 4096, GOAL_OF_CEILING, 0.6, {2202, 258, 3.4}},
	{"g2h-64b", throughput, true, 64, GOAL_OF_PEER, 4, {60, 22, 51}},
	{"h2g-64b", throughput, false, 64, GOAL_OF_CEILING, 0.8, {60, 24, 27}},
	{"rtt", round_trip, true, 0, GOAL_UP_TO_CEILING, 1.5, {0, 0, 0}},
	{"rtt-spin", round_trip_spin, true, 0, GOAL_UP_TO, 10, {0, 0, 0}},
	{"connect-guest", connects, true, 0, GOAL_NONE, 0, {0, 0, 0}},
	{"connect-host", connects, false, 0, GOAL_NONE, 0, {0, 0, 0}},
	{"idle-100", beside_idle, true, 100, GOAL_OF_CEILING, 0.9, {0, 0, 0}},
	{"idle-10000", beside_idle, true, 10000, GOAL_OF_CEILING, 0.9, {0, 0, 0}},
	{"memory", memory, true, 10000, GOAL_UP_TO, 1536, {0, 0, 0}},
};

const char *rows_name(unsigned int i)
{
	return i < sizeof(rows) / sizeof(*rows) ? rows[i].name : NULL;
}

/* Whether the name is in the list: names with commas between them. */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		if (*at == ',')
			at++;
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
			return true;
	}
	return false;
}

static void check_names(const char *only)
{
	while (*only) {
		size_t len = strcspn(only, ",");
		unsigned int i = 0;

		while (rows_name(i) &&
		       (strncmp(rows_name(i), only, len) || rows_name(i)[len]))
			i++;
		if (!rows_name(i))
			die("--only %s: there is no such row", only);
		only += len;
		only += *only == ',';
	}
}

void rows_run(const char *only)
{
	if (only)
		check_names(only);
	for (unsigned int i = 0; rows_name(i); i++) {
		if (only && !listed(only, rows_name(i)))
			continue;
		bench_doing(rows_name(i));
		rows[i].run(&rows[i]);
	}
}
