/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "figures.h"

enum {
	ROW_MAX = ANSWER_PIECE_MIN / 2,
	SLOTS_MAX = 4096, /* of the table, for one piece */
};

struct piece {
	char *buf;
	size_t size, len;
};

static bool has_room(const struct piece *piece)
{
	return piece->size - piece->len >= ROW_MAX;
}

__attribute__((format(printf, 2, 3))) static void put(struct piece *piece,
						      const char *fmt, ...)
{
	size_t left = piece->size - piece->len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(piece->buf + piece->len, left, fmt, args);
	va_end(args);
	if (n > 0 && (size_t)n < left)
		piece->len += (size_t)n;
}

typedef unsigned long long ull;

static bool say_stats(struct answer *answer, const struct device *dev,
		      struct piece *piece)
{
	struct figure figure[FIGURES_MAX];
	size_t count = figures_read(dev, answer->began, figure);

	if (!answer->at)
		put(piece, "cid %u\n", dev->routes->guest_cid);
	for (; answer->at < count && has_room(piece); answer->at++) {
		const struct figure *f = &figure[answer->at];

		put(piece, "%s%s%s %llu\n", f->name, f->word ? " " : "",
		    f->word ? f->word : "", (ull)f->value);
	}
	if (answer->at < count || !has_room(piece))
		return true;
	put(piece, "end\n");
	return false;
}

static void put_metric(struct piece *piece, uint32_t cid, const struct figure *f)
{
	const char *suffix = f->counter ? "_total" : "";

	if (f->word)
		put(piece, "vsockd_%s%s{cid=\"%u\",%s=\"%s\"} %llu\n", f->name, suffix,
		    cid, f->label, f->word, (ull)f->value);
	else
		put(piece, "vsockd_%s%s{cid=\"%u\"} %llu\n", f->name, suffix, cid,
		    (ull)f->value);
}

static bool say_metrics(struct answer *answer, const struct device *dev,
			struct piece *piece)
{
	struct figure figure[FIGURES_MAX];
	size_t count = figures_read(dev, answer->began, figure);

	for (; answer->at < count && has_room(piece); answer->at++) {
		const struct figure *f = &figure[answer->at];

		if (!answer->at || strcmp(f->name, f[-1].name))
			put(piece, "# TYPE vsockd_%s %s\n# HELP vsockd_%s %s.\n",
			    f->name, f->counter ? "counter" : "gauge", f->name,
			    f->help);
		put_metric(piece, dev->routes->guest_cid, f);
	}
	if (answer->at < count || !has_room(piece))
		return true;
	put(piece, "# EOF\n");
	return false;
}

static const char *state_word(const struct conn *conn)
{
	static const char *const words[] = {
		[CONN_LINE] = "line",	      [CONN_REQUESTED] = "requested",
		[CONN_DIALLING] = "dialling", [CONN_GREETING] = "greeting",
		[CONN_OPEN] = "open",	      [CONN_ENDING] = "ending",
		[CONN_LINGER] = "linger",     [CONN_DEAD] = "ending",
	};

	if (conn->state == CONN_OPEN && (conn->guest_shut || conn->host_shut))
		return "closing";
	return words[conn->state];
}

static void put_conn(struct piece *piece, const struct conn *conn, uint64_t now)
{
	static const char *const origins[] = {
		[ORIGIN_GUEST] = "guest",
		[ORIGIN_HOST] = "host",
		[ORIGIN_PEER] = "peer",
		[ORIGIN_MAP] = "listen",
	};
	const struct conn_stats *stats = &conn->stats;
	const struct credit *credit = &conn->credit;

	put(piece, "%s %s %u %u %u %u %s %llu",
	    conn->type == PACKET_SEQPACKET ? "seqpacket" : "stream", state_word(conn),
	    conn->common->guest_cid, conn->guest_port, conn->peer_cid, conn->host_port,
	    origins[conn->origin], (ull)(now - conn->began));
	put(piece, " %llu %llu %llu %llu", (ull)stats->from_guest_bytes,
	    (ull)stats->to_guest_bytes, (ull)stats->from_guest_packets,
	    (ull)stats->to_guest_packets);
	put(piece, " %zu %u %zu %u %u %u\n", conn->backlog.len,
	    credit_in_flight(credit), conn->messages ? conn->messages->rest.len : 0,
	    credit_of_guest(credit), credit_bytes(credit), stats->credit_stalls);
}

/*
 * A connection stays in its slot, so each is told once; what comes and goes
 * meanwhile is told or not.
 */
static bool say_list(struct answer *answer, const struct device *dev,
		     struct piece *piece)
{
	const struct conn_table *table = &dev->conns;

	if (!answer->at)
		put(piece,
		    "type state guest_cid guest_port peer_cid peer_port origin age_ms "
		    "from_guest_bytes to_guest_bytes from_guest_packets "
		    "to_guest_packets backlog_bytes in_flight_bytes rest_bytes "
		    "guest_credit peer_credit credit_stalls\n");
	for (int i = 0; i < SLOTS_MAX && answer->at < table->used; i++) {
		const struct conn *conn = table->slot[answer->at].conn;

		if (!has_room(piece))
			return true;
		answer->at++;
		if (!conn)
			continue;
		put_conn(piece, conn, dev->now);
		answer->count++;
	}
	if (answer->at < table->used || !has_room(piece))
		return true;
	put(piece, "end %llu\n", (ull)answer->count);
	return false;
}

static bool say_error(struct answer *answer, const struct device *dev,
		      struct piece *piece)
{
	(void)answer;
	(void)dev;
	put(piece, "error no such request: stats, list or metrics was expected\n");
	return false;
}

static const struct {
	const char *word;
	bool (*say)(struct answer *answer, const struct device *dev,
		    struct piece *piece);
} requests[] = {
	{"stats", say_stats},
	{"list", say_list},
	{"metrics", say_metrics},
};

void answer_begin(struct answer *answer, const char *line, size_t len, uint64_t began)
{
	*answer = (struct answer){.say = say_error, .began = began};
	if (len && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (strlen(requests[i].word) == len &&
		    !memcmp(requests[i].word, line, len))
			answer->say = requests[i].say;
}

size_t answer_next(struct answer *answer, const struct device *dev, char *buf,
		   size_t size)
{
	struct piece piece = {.buf = buf, .size = size};

	answer->done = !answer->say(answer, dev, &piece);
	return piece.len;
}
