// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on the lines that open connections on Unix sockets: a host program's and a
 * sibling's CONNECT line, and the OK line of a sibling. They come in pieces, with
 * other bytes behind them. What is to become of them is found out here a second time,
 * by regular expressions.
 *
 * An input: who writes what to which kind of socket, how it is cut, and the bytes.
 * seeds.py writes some.
 */
#include <errno.h>
#include <regex.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../transport/incoming.h"
#include "hybrid.h"
#include "machine.h"

enum {
	BYTES_MAX = 512,
	TEXT_MAX = BYTES_MAX + HYBRID_FROM_LINE_MAX,
	NUMBERS = 3,
	GUEST_PORT = 1000,
	ASKED_PORT = 5000, /* of a sibling */
};

enum kind {
	HOST_LINE,
	PEER_LINE,
	OK_LINE,
	KINDS,
};

static const struct {
	const char *pattern;
	const char *whole; /* some right line */
} kinds[KINDS] = {
	[HOST_LINE] = {"^CONNECT ([0-9]{1,10})\r?\n", "CONNECT 1\n"},
	[PEER_LINE] = {"^CONNECT ([0-9]{1,10}) FROM ([0-9]{1,10}):([0-9]{1,10})\r?\n",
		       "CONNECT 1 FROM 1:1\n"},
	[OK_LINE] = {"^OK ([0-9]{1,10})\r?\n", "OK 1\n"},
};

/* The head of an input. */
struct head {
	uint8_t kind; /* bit 2: of a seqpacket socket; bit 3: it writes no more then */
	uint8_t cut;
};

struct bench {
	struct machine machine;
	enum kind kind;
	uint16_t type;
	int fd;		      /* of who writes the line */
	char line[BYTES_MAX]; /* what it has written */
	size_t len, start;    /* where what is behind the line starts; 0: not yet */
	uint32_t number[NUMBERS];
	uint8_t got[BYTES_MAX]; /* what the guest has received */
	size_t got_len;
	struct packet first; /* what it received first, or all zero */
	bool reset, shut;
};

/* A whole line at the beginning: its length, -EPROTO for a number out of range; or 0.
 */
static int match(enum kind kind, const char *buf, size_t len, uint32_t number[NUMBERS])
{
	static regex_t regex[KINDS];
	static bool compiled[KINDS];
	regmatch_t found[NUMBERS + 1] = {{.rm_eo = (regoff_t)len}};
	char text[TEXT_MAX + 1] = "";

	memcpy(text, buf, len);
	if (!compiled[kind])
		CHECK(regcomp(&regex[kind], kinds[kind].pattern,
			      REG_EXTENDED | REG_ICASE) == 0);
	compiled[kind] = true;
	if (regexec(&regex[kind], text, NUMBERS + 1, found, REG_STARTEND))
		return 0;
	for (int i = 1; i <= NUMBERS && found[i].rm_so >= 0; i++) {
		unsigned long value = strtoul(text + found[i].rm_so, NULL, 10);

		if (value > UINT32_MAX)
			return -EPROTO;
		number[i - 1] = (uint32_t)value;
	}
	return found[0].rm_eo;
}

/* The same, but -EPROTO when nothing that may follow makes a right line of it. */
static int judge(enum kind kind, const char *buf, size_t len, uint32_t number[NUMBERS])
{
	uint32_t ignored[NUMBERS];
	int ret = match(kind, buf, len, number);

	if (ret)
		return ret;
	for (const char *tail = kinds[kind].whole; *tail; tail++) {
		char whole[TEXT_MAX];
		size_t rest = strlen(tail);

		memcpy(whole, buf, len);
		memcpy(whole + len, tail, rest);
		if (match(kind, whole, len + rest, ignored) == (int)(len + rest))
			return 0;
	}
	return -EPROTO;
}

static int parse(enum kind kind, const char *buf, size_t len, uint32_t number[NUMBERS])
{
	if (kind == HOST_LINE)
		return hybrid_parse_connect(buf, len, &number[0]);
	if (kind == OK_LINE)
		return hybrid_parse_ok(buf, len, &number[0]);
	return hybrid_parse_connect_from(buf, len, &number[0], &number[1], &number[2]);
}

/* However much of it has come, the parser's word is the right one. */
static void check_parser(enum kind kind, const char *bytes, size_t len)
{
	for (size_t i = 0; i <= len && i <= HYBRID_FROM_LINE_MAX; i++) {
		uint32_t number[NUMBERS] = {0}, wanted[NUMBERS] = {0};
		char *copy = malloc(i + 1); /* whoever reads on is seen */
		int ret = judge(kind, bytes, i, wanted);

		CHECK(copy);
		memcpy(copy + 1, bytes, i);
		CHECK(parse(kind, copy + 1, i, number) == ret);
		if (ret > 0)
			CHECK(memcmp(number, wanted, sizeof(number)) == 0);
		free(copy);
	}
}

static void guest_sends(struct bench *t, enum packet_op op, const struct packet *to)
{
	struct packet packet = {.src_cid = MACHINE_CID,
				.dst_cid = to->src_cid,
				.src_port = to->dst_port,
				.dst_port = to->src_port,
				.type = t->type,
				.op = op,
				.buf_alloc = 1 << 18,
				.fwd_cnt = (uint32_t)t->got_len};

	CHECK(machine_send(&t->machine, &packet, NULL, 0, 0));
	machine_run(&t->machine);
}

static void guest_receives(struct bench *t)
{
	static uint8_t payload[MACHINE_RX_MAX];
	struct packet packet;

	machine_run(&t->machine);
	while (machine_receive(&t->machine, &packet, payload)) {
		if (!t->first.op)
			t->first = packet;
		CHECK(packet.type == t->type);
		CHECK(!t->reset && t->got_len + packet.len <= sizeof(t->got));
		memcpy(t->got + t->got_len, payload, packet.len);
		t->got_len += packet.len;
		t->reset = packet.op == PACKET_RST;
		t->shut |= packet.op == PACKET_SHUTDOWN;
		if (packet.op == PACKET_REQUEST)
			guest_sends(t, PACKET_RESPONSE, &packet);
		else if (packet.op == PACKET_RW)
			guest_sends(t, PACKET_CREDIT_UPDATE, &packet);
		machine_run(&t->machine);
	}
	machine_offer(&t->machine, MACHINE_RX_SLOTS, MACHINE_RX_MAX);
	machine_run(&t->machine);
}

/* The device has closed it, and said nothing but its own line. */
static void check_closed(const struct bench *t)
{
	char byte;
	ssize_t n = recv(t->fd, &byte, 1, 0);

	CHECK(n == 0 || (n < 0 && errno != EAGAIN));
}

static void begin_greeting(struct bench *t)
{
	static const struct packet asked = {.src_cid = MACHINE_PEER,
					    .src_port = ASKED_PORT,
					    .dst_port = GUEST_PORT};
	char line[HYBRID_FROM_LINE_MAX + 1] = "";
	unsigned int port, cid, from;

	guest_sends(t, PACKET_REQUEST, &asked);
	t->fd = machine_accept(t->type == PACKET_SEQPACKET ? MACHINE_DOOR_PEER_SEQPACKET
							   : MACHINE_DOOR_PEER);
	CHECK(t->fd >= 0);
	CHECK(recv(t->fd, line, sizeof(line) - 1, 0) > 0);
	CHECK(sscanf(line, "CONNECT %u FROM %u:%u\n", &port, &cid, &from) == 3);
	CHECK(port == ASKED_PORT && cid == MACHINE_CID && from == GUEST_PORT);
}

static void begin(struct bench *t)
{
	machine_offer(&t->machine, MACHINE_RX_SLOTS, MACHINE_RX_MAX);
	if (t->kind == OK_LINE) {
		begin_greeting(t);
		return;
	}
	t->fd = machine_connect(&t->machine,
				t->kind == PEER_LINE ? ORIGIN_PEER : ORIGIN_HOST,
				t->type, 0, 0);
	machine_run(&t->machine);
}

/* What is to become of what has been written. */
static int wanted(struct bench *t, size_t last)
{
	int ret;

	if (t->start)
		return 1;
	ret = judge(t->kind, t->line, t->len, t->number);
	/* A message is a line, whole and alone. */
	if (t->type == PACKET_SEQPACKET && (ret != (int)t->len || last != t->len))
		return -EPROTO;
	if (ret > 0 && t->kind == PEER_LINE && t->number[1] != MACHINE_PEER)
		return -EPROTO;
	if (ret > 0)
		t->start = ret;
	return ret;
}

/* It is as it should be: refused (negative), waiting (0), or open. */
static void check_outcome(struct bench *t, int ret)
{
	const struct packet *first = &t->first;
	uint32_t port = t->number[0];

	guest_receives(t);
	if (ret <= 0) {
		CHECK(!t->got_len && t->reset == (ret < 0 && t->kind == OK_LINE));
		CHECK(first->op == (t->reset ? PACKET_RST : PACKET_INVALID));
		CHECK(t->machine.device.conns.count == (ret == 0));
		if (ret < 0)
			check_closed(t);
		return;
	}
	CHECK(t->machine.device.conns.count == 1 && !t->reset);
	if (t->kind == OK_LINE) {
		CHECK(first->op == PACKET_RESPONSE && first->src_port == ASKED_PORT);
	} else {
		CHECK(first->op == PACKET_REQUEST && first->dst_port == port);
		CHECK(first->src_cid ==
		      (t->kind == PEER_LINE ? MACHINE_PEER : PACKET_HOST_CID));
		if (t->kind == PEER_LINE)
			CHECK(first->src_port == t->number[2]);
	}
	CHECK(t->got_len == t->len - t->start);
	CHECK(memcmp(t->got, t->line + t->start, t->got_len) == 0);
}

static size_t piece_of(unsigned int cut, size_t number, size_t left)
{
	size_t piece = cut;

	if (!cut)
		return left;
	if (cut >= 128)
		piece = 1 + (number + 1) * cut * 2654435761u % 32;
	return piece < left ? piece : left;
}

/* Writes the bytes; negative as soon as they are refused. */
static int write_pieces(struct bench *t, const uint8_t *data, size_t size,
			unsigned int cut)
{
	int ret = 0;

	check_outcome(t, ret);
	for (size_t i = 0; size && ret >= 0; i++) {
		size_t piece = piece_of(cut, i, size);

		memcpy(t->line + t->len, data, piece);
		CHECK(send(t->fd, data, piece, MSG_NOSIGNAL) == (ssize_t)piece);
		t->len += piece;
		data += piece;
		size -= piece;
		ret = wanted(t, piece);
		check_outcome(t, ret);
	}
	return ret;
}

/* The answer to the line is all that came this way. */
static void check_answer(struct bench *t)
{
	char answer[HYBRID_LINE_MAX + 1] = "", line[HYBRID_LINE_MAX];
	ssize_t n = recv(t->fd, answer, sizeof(answer) - 1, 0);

	snprintf(line, sizeof(line), "OK %u\n", t->first.src_port);
	if (t->kind == OK_LINE)
		CHECK(n < 0 && errno == EAGAIN);
	else
		CHECK(n > 0 && strcmp(answer, line) == 0);
}

static void check_lines(struct bench *t, const struct head *head, const uint8_t *data,
			size_t size)
{
	int ret;

	begin(t);
	ret = write_pieces(t, data, size, head->cut);
	if (ret > 0)
		check_answer(t);
	if (ret >= 0 && head->kind & 8) {
		shutdown(t->fd, SHUT_WR);
		check_outcome(t, ret ? ret : -ECONNRESET);
		CHECK(t->shut == (ret > 0));
	} else if (ret == 0) {
		machine_wait(&t->machine, CONN_LINE_TIMEOUT - 1);
		check_outcome(t, 0);
		machine_wait(&t->machine, 1);
		check_outcome(t, -ETIMEDOUT);
	}
	if (ret > 0)
		guest_sends(t, PACKET_RST, &t->first);
	CHECK(!t->machine.device.conns.count);
	close(t->fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t good[] = "Connect 5000\nmore";
	struct limits limits = LIMITS_DEFAULT;
	static struct bench bench;
	struct bench *t = &bench;
	unsigned int files;
	struct head head;

	if (size < sizeof(head) || size > sizeof(head) + BYTES_MAX)
		return -1;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head);
	size -= sizeof(head);
	limits.max_connections = 2;
	memset(t, 0, sizeof(*t));
	t->kind = (head.kind & 3) % KINDS;
	t->type = head.kind & 4 ? PACKET_SEQPACKET : PACKET_STREAM;
	check_parser(t->kind, (const char *)data, size);
	machine_start(&t->machine, &limits);
	files = fuzz_open_files();
	check_lines(t, &head, data, size);
	CHECK(fuzz_open_files() == files);
	/* And one that is right, whatever went before it. */
	machine_restart(&t->machine);
	t->kind = HOST_LINE;
	t->type = PACKET_STREAM;
	t->len = t->start = t->got_len = 0;
	t->reset = t->shut = false;
	t->first = (struct packet){0};
	check_lines(t, &(struct head){.cut = 3}, good, sizeof(good) - 1);
	CHECK(t->got_len == 4 && fuzz_open_files() == files);
	machine_free(&t->machine);
	return 0;
}
