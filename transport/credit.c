/* SPDX-License-Identifier: Apache-2.0 */
#include "credit.h"

enum {
	/* A window beyond this would blur the sign of the difference below. */
	WINDOW_MAX = 1 << 30,
	/* The least that is worth a packet of its own while more is to come. */
	UPDATE_MIN = 32 * 1024,
};

/* 0 if the guest claims more than was sent. */
uint32_t credit_in_flight(const struct credit *credit)
{
	int32_t bytes = (int32_t)(credit->tx_cnt - credit->peer_fwd_cnt);

	return bytes > 0 ? (uint32_t)bytes : 0;
}

static uint32_t packet_limit(const struct credit *credit)
{
	uint32_t limit = credit->peer_buf_alloc / CREDIT_PACKET_COST;

	return limit ? limit : 1;
}

bool credit_hear(struct credit *credit, const struct packet *packet)
{
	uint32_t window =
		packet->buf_alloc < WINDOW_MAX ? packet->buf_alloc : WINDOW_MAX;
	bool moved = packet->fwd_cnt != credit->peer_fwd_cnt ||
		     window != credit->peer_buf_alloc;

	if (packet->fwd_cnt != credit->peer_fwd_cnt)
		credit->lent = 0;
	credit->peer_buf_alloc = window;
	credit->peer_fwd_cnt = packet->fwd_cnt;
	while (credit->marks) {
		const struct credit_mark *mark = &credit->mark[credit->first_mark];

		if ((int32_t)(credit->peer_fwd_cnt - mark->end) < 0)
			break;
		credit->packets -= mark->packets;
		credit->first_mark = (credit->first_mark + 1) % CREDIT_MARKS;
		credit->marks--;
	}
	return moved;
}

void credit_tell(struct credit *credit, struct packet *packet)
{
	packet->buf_alloc = credit->buf_alloc;
	packet->fwd_cnt = credit->fwd_cnt;
	credit->told = credit->fwd_cnt;
}

uint32_t credit_bytes(const struct credit *credit)
{
	uint32_t used = credit_in_flight(credit);

	/* The guest may have made its window smaller than what is on its way. */
	return used < credit->peer_buf_alloc ? credit->peer_buf_alloc - used : 0;
}

uint32_t credit_of_guest(const struct credit *credit)
{
	return credit->buf_alloc - (credit->rx_cnt - credit->fwd_cnt);
}

void credit_lend(struct credit *credit)
{
	if (credit->lent < (packet_limit(credit) + 1) / 2)
		credit->lent++;
}

uint32_t credit_packets(const struct credit *credit)
{
	uint32_t limit = packet_limit(credit) + credit->lent;

	return credit->packets < limit ? limit - credit->packets : 0;
}

void credit_sent(struct credit *credit, uint32_t bytes, uint32_t packets)
{
	struct credit_mark *mark;

	credit->tx_cnt += bytes;
	credit->packets += packets;
	mark = &credit->mark[(credit->first_mark + credit->marks - 1u) % CREDIT_MARKS];
	if (!credit->marks || (credit->marks < CREDIT_MARKS &&
			       mark->packets >= packet_limit(credit) / CREDIT_MARKS)) {
		mark = &credit->mark[(credit->first_mark + credit->marks) %
				     CREDIT_MARKS];
		mark->packets = 0;
		credit->marks++;
	}
	mark->end = credit->tx_cnt;
	mark->packets += packets;
}

bool credit_should_ask(const struct credit *credit)
{
	return credit->packets >= (packet_limit(credit) + 1) / 2;
}

bool credit_take(struct credit *credit, uint32_t len)
{
	uint32_t held = credit->rx_cnt - credit->fwd_cnt;

	if (len > credit->buf_alloc - held)
		return false;
	credit->rx_cnt += len;
	return true;
}

void credit_forward(struct credit *credit, uint32_t len)
{
	credit->fwd_cnt += len;
}

bool credit_should_tell(const struct credit *credit)
{
	uint32_t known_used = credit->rx_cnt - credit->told;
	uint32_t news = credit->fwd_cnt - credit->told;
	uint32_t window = credit->buf_alloc, least = UPDATE_MIN;

	/* A newer Linux has no more on its way than its own buffer's size. */
	if (credit->peer_buf_alloc && credit->peer_buf_alloc < window)
		window = credit->peer_buf_alloc;
	if (window / 4 < least)
		least = window / 4;
	if (known_used <= window / 2 || !news)
		return false;
	return news >= least || credit->rx_cnt - credit->fwd_cnt == credit->kept;
}
