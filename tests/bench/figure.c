/* SPDX-License-Identifier: Apache-2.0 */
#include "figure.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

enum {
	PEER_CELL = 3, /* of a line's numbers, the first that is about the peer */
};

static struct figure figures[FIGURES_MAX];
static unsigned int count;

struct figure *figure_new(const char *name, const char *unit, enum goal goal,
			  double goal_value)
{
	struct figure *f = &figures[count];

	if (count++ == FIGURES_MAX)
		die("there are too many figures");
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->unit, sizeof(f->unit), "%s", unit);
	f->goal = goal;
	f->goal_value = goal_value;
	return f;
}

void figure_add(struct figure *f, double value, double ceiling, double peer)
{
	if (f->rounds == FIGURE_ROUNDS_MAX)
		die("there are too many rounds");
	f->value[f->rounds] = value;
	f->ceiling[f->rounds] = ceiling;
	f->peer[f->rounds++] = peer;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *values, unsigned int n)
{
	double sorted[FIGURE_ROUNDS_MAX];

	if (!n || isnan(values[0]))
		return NAN;
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Round by round, so that what disturbs both disturbs the ratio less. */
static double median_ratio(const struct figure *f, const double *to)
{
	double ratio[FIGURE_ROUNDS_MAX];

	for (unsigned int i = 0; i < f->rounds; i++)
		ratio[i] = f->value[i] / to[i];
	return median(ratio, f->rounds);
}

/* 1: met, 0: not met, -1: there is nothing to compare with. */
static int met(const struct figure *f)
{
	double of_ceiling = median_ratio(f, f->ceiling);
	double of_peer = median_ratio(f, f->peer);
	double value = median(f->value, f->rounds);

	switch (f->goal) {
	case GOAL_OF_CEILING:
		return isnan(of_ceiling) ? -1 : of_ceiling >= f->goal_value;
	case GOAL_UP_TO_CEILING:
		return isnan(of_ceiling) ? -1 : of_ceiling <= f->goal_value;
	case GOAL_OF_PEER:
		return isnan(of_peer) ? -1 : of_peer >= f->goal_value;
	case GOAL_UP_TO_PEER:
		return isnan(of_peer) ? -1 : of_peer <= f->goal_value;
	case GOAL_UP_TO:
		return isnan(value) ? -1 : value <= f->goal_value;
	case GOAL_NONE:
		break;
	}
	return -1;
}

static void goal_text(const struct figure *f, char *text, size_t size)
{
	static const char *const formats[] = {
		[GOAL_NONE] = "-",
		[GOAL_OF_CEILING] = ">= %.2f x ceiling",
		[GOAL_UP_TO_CEILING] = "<= %.2f x ceiling",
		[GOAL_OF_PEER] = ">= %.2f x peer",
		[GOAL_UP_TO_PEER] = "<= %.2f x peer",
		[GOAL_UP_TO] = "<= %.6g",
	};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, size, formats[f->goal], f->goal_value);
#pragma GCC diagnostic pop
}

static void number_text(double value, char *text, size_t size, bool guess)
{
	if (isnan(value))
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%s%.*f", guess ? "~" : "",
			 value >= 1000 ? 0
			 : value >= 10 ? 1
				       : 3,
			 value);
}

static void print_one(const struct figure *f, FILE *to)
{
	static const char *const words[] = {"-", "NO", "yes"};
	double cell[] = {median(f->value, f->rounds), median(f->ceiling, f->rounds),
			 median_ratio(f, f->ceiling), median(f->peer, f->rounds),
			 median_ratio(f, f->peer)};
	char goal[32], text[16];

	goal_text(f, goal, sizeof(goal));
	fprintf(to, "%-22s %-6s", f->name, f->unit);
	for (size_t i = 0; i < sizeof(cell) / sizeof(*cell); i++) {
		bool guess = i >= PEER_CELL && f->peer_estimated;

		number_text(cell[i], text, sizeof(text), guess);
		fprintf(to, " %9s", text);
	}
	fprintf(to, "  %-18s %s\n", goal, words[met(f) + 1]);
}

/* What the figures depend on. */
static void print_circumstances(FILE *to)
{
	double load = 0;

	getloadavg(&load, 1);
	fprintf(to,
		"%u rounds of %g s; rings of %u, receive buffers of %u "
		"bytes%s%s%s%s%s; "
		"load %.1f; CPUs of driver, back-end, host: ",
		options.rounds, options.seconds, options.ring, options.rx_size,
		options.event_idx ? ", event index" : "",
		options.indirect ? ", indirect" : "", options.packed ? ", packed" : "",
		options.tx_interrupts ? ", transmit interrupts" : "",
		options.eager_credit ? ", eager credit" : "", load);
	if (options.cpu[CPU_DRIVER] == NOT_PINNED)
		fputs("any\n", to);
	else
		fprintf(to, "%d, %d, %d\n", options.cpu[CPU_DRIVER],
			options.cpu[CPU_BACKEND], options.cpu[CPU_HOST]);
}

void figures_print(FILE *to)
{
	print_circumstances(to);
	fprintf(to, "%-22s %-6s %9s %9s %9s %9s %9s  %-18s %s\n", "figure", "unit",
		"value", "ceiling", "ratio", "peer", "ratio", "goal", "met");
	for (unsigned int i = 0; i < count; i++)
		print_one(&figures[i], to);
	if (count && figures[0].peer_estimated)
		fputs("~: the peer as it once was elsewhere, scaled by the ceilings\n",
		      to);
	for (unsigned int i = 0; i < count; i++) {
		if (figures[i].note[0])
			fprintf(to, "%s: %s\n", figures[i].name, figures[i].note);
	}
}

/* JSON has no NAN. */
static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *numbers(const double *values, unsigned int n)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < n; i++)
		json_array_append_new(array, number(values[i]));
	return array;
}

static json_t *one(const struct figure *f)
{
	int is_met = met(f);
	char goal[32];

	goal_text(f, goal, sizeof(goal));
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:o, s:s, s:o, s:o, "
		"s:o}",
		"name", f->name, "unit", f->unit, "value",
		number(median(f->value, f->rounds)), "ceiling",
		number(median(f->ceiling, f->rounds)), "ratio",
		number(median_ratio(f, f->ceiling)), "peer",
		number(median(f->peer, f->rounds)), "peer_ratio",
		number(median_ratio(f, f->peer)), "peer_estimated", f->peer_estimated,
		"goal", goal, "met", is_met < 0 ? json_null() : json_boolean(is_met),
		"note", f->note, "values", numbers(f->value, f->rounds), "ceilings",
		numbers(f->ceiling, f->rounds), "peers", numbers(f->peer, f->rounds));
}

static json_t *circumstances(void)
{
	struct utsname name;
	double load[3] = {0};

	uname(&name);
	if (getloadavg(load, 3) < 0)
		load[0] = 0;
	return json_pack("{s:s, s:i, s:f, s:i, s:f, s:i, s:i, s:b, s:b, s:b, s:b, "
			 "s:b, s:[i,i,i]}",
			 "kernel", name.release, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "load", load[0], "rounds",
			 (int)options.rounds, "seconds", options.seconds, "ring",
			 (int)options.ring, "rx_size", (int)options.rx_size,
			 "event_idx", options.event_idx, "indirect", options.indirect,
			 "packed", options.packed, "tx_interrupts",
			 options.tx_interrupts, "eager_credit", options.eager_credit,
			 "pinned", options.cpu[CPU_DRIVER], options.cpu[CPU_BACKEND],
			 options.cpu[CPU_HOST]);
}

void figures_save(const char *path)
{
	json_t *list = json_array(), *all;

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(list, one(&figures[i]));
	all = json_pack("{s:o, s:o}", "circumstances", circumstances(), "figures",
			list);
	if (!all || json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)))
		die("cannot write %s", path);
	json_decref(all);
}
