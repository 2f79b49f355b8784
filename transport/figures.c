/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

enum family {
	UPTIME,
	RESTARTS,
	FRONT_END,
	DRIVER,
	CONNECTIONS,
	CONNECTIONS_MAX,
	ASKED,
	OPENED,
	REFUSED,
	PACKETS,
	BYTES,
	RESETS,
	DROPPED,
	CREDIT_STALLS,
	LIMITS_REACHED,
	BACKLOG,
	MEMORY,
	MEMORY_MAX,
};

/* The names are documented, in vsockd(8). */
static const struct figure families[] = {
	[UPTIME] = {"uptime_seconds", NULL, NULL, "Seconds since this process began",
		    false, 0},
	[RESTARTS] = {"restarts", NULL, NULL,
		      "Processes that served this device before this one", true, 0},
	[FRONT_END] = {"front_end_connected", NULL, NULL,
		       "Whether the virtual machine monitor is there", false, 0},
	[DRIVER] = {"driver_up", NULL, NULL, "Whether the guest's driver can be served",
		    false, 0},
	[CONNECTIONS] = {"connections", NULL, NULL,
			 "Connections there are, in whichever state", false, 0},
	[CONNECTIONS_MAX] = {"connections_max", NULL, NULL,
			     "Connections there may be at once", false, 0},
	[ASKED] = {"connections_asked", "by", NULL, "Connections that were tried", true,
		   0},
	[OPENED] = {"connections_opened", NULL, NULL, "Connections that came to be",
		    true, 0},
	[REFUSED] = {"connections_refused", NULL, NULL,
		     "Connections that were tried and did not come to be", true, 0},
	[PACKETS] = {"packets", "direction", NULL, "Packets with data", true, 0},
	[BYTES] = {"bytes", "direction", NULL, "Bytes of data", true, 0},
	[RESETS] = {"resets", "reason", NULL,
		    "Connections that ended, or did not begin, with a reset", true, 0},
	[DROPPED] = {"packets_dropped", NULL, NULL,
		     "Packets that no answer could be given to", true, 0},
	[CREDIT_STALLS] = {"credit_stalls", NULL, NULL,
			   "Times that data waited for the guest's credit", true, 0},
	[LIMITS_REACHED] = {"limits_reached", "limit", NULL,
			    "Times that a limit took effect", true, 0},
	[BACKLOG] = {"backlog_bytes", NULL, NULL,
		     "Bytes that are held until their receiver takes them", false, 0},
	[MEMORY] = {"backlog_memory_bytes", NULL, NULL,
		    "Memory behind the bytes that are held", false, 0},
	[MEMORY_MAX] = {"backlog_memory_max_bytes", NULL, NULL,
			"Memory that there may be behind them", false, 0},
};

struct list {
	struct figure *out;
	size_t count;
};

static void add(struct list *list, enum family family, const char *word, uint64_t value)
{
	struct figure *figure = &list->out[list->count];

	if (list->count == FIGURES_MAX)
		return;
	*figure = families[family];
	figure->word = word;
	figure->value = value;
	list->count++;
}

static void add_counts(struct list *list, const struct stats *stats)
{
	const uint64_t *resets = stats->resets;

	add(list, ASKED, "guest", stats->asked_by_guest);
	add(list, ASKED, "host", stats->asked_by_host);
	add(list, OPENED, NULL, stats->opened);
	add(list, REFUSED, NULL, stats->refused);
	add(list, PACKETS, "from_guest", stats->from_guest_packets);
	add(list, PACKETS, "to_guest", stats->to_guest_packets);
	add(list, BYTES, "from_guest", stats->from_guest_bytes);
	add(list, BYTES, "to_guest", stats->to_guest_bytes);
	for (int reason = 0; reason < RESET_REASONS; reason++)
		add(list, RESETS, reset_reason_name((enum reset_reason)reason),
		    resets[reason]);
	add(list, DROPPED, NULL, stats->dropped);
	add(list, CREDIT_STALLS, NULL, stats->credit_stalls);
	add(list, LIMITS_REACHED, "max_connections", resets[RESET_MAX_CONNECTIONS]);
	add(list, LIMITS_REACHED, "buffer_total", resets[RESET_BUFFER_TOTAL]);
	/* Guests are refused, and host programs wait. */
	add(list, LIMITS_REACHED, "connect_rate",
	    resets[RESET_CONNECT_RATE] + stats->accept_stalls);
	add(list, LIMITS_REACHED, "rate", stats->rate_stalls);
}

size_t figures_read(const struct device *dev, uint64_t began,
		    struct figure out[static FIGURES_MAX])
{
	const struct backlog_pool *pool = &dev->conns.common.buffers;
	struct list list = {.out = out};

	add(&list, UPTIME, NULL, (dev->now - began) / 1000);
	add(&list, RESTARTS, NULL, dev->roll.state ? state_age(dev->roll.state) : 0);
	add(&list, FRONT_END, NULL, device_is_attached(dev));
	add(&list, DRIVER, NULL, dev->running && !dev->broken);
	add(&list, CONNECTIONS, NULL, conn_table_count(&dev->conns));
	add(&list, CONNECTIONS_MAX, NULL, dev->conns.max);
	add_counts(&list, &dev->conns.common.stats);
	add(&list, BACKLOG, NULL, pool->held);
	add(&list, MEMORY, NULL, pool->used);
	add(&list, MEMORY_MAX, NULL, pool->max);
	return list.count;
}
