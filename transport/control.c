/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("close", "recvfrom", "sendto");

void control_init(struct control *control)
{
	control->listener = (struct listener){.fd = -1, .spare_fd = -1};
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->client[i] = (struct control_client){
			.fd = -1,
			.buf = control->piece[i],
		};
}

int control_open(struct control *control, const char *path, struct loop *loop,
		 struct error *err)
{
	int ret = 0;

	control->loop = loop;
	control->began = loop_now();
	if (path)
		ret = listener_open(&control->listener, path, err);
	else if (!listener_take(&control->listener, CONTROL_NAME))
		return 0;
	if (ret < 0)
		return ret;
	return listener_watch(&control->listener, loop, LOOP_CONTROL, 0, err);
}

static void drop(struct control *control, struct control_client *client)
{
	if (client->fd < 0)
		return;
	close(client->fd);
	client->fd = -1;
	control->clients--;
}

static void drop_all(struct control *control)
{
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		drop(control, &control->client[i]);
}

void control_close(struct control *control)
{
	drop_all(control);
	listener_close(&control->listener);
}

void control_leave(struct control *control)
{
	drop_all(control);
	listener_leave(&control->listener);
}

static struct control_client *find_free(struct control *control)
{
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->client[i].fd < 0)
			return &control->client[i];
	return NULL;
}

static void welcome(struct control *control, struct control_client *client, int fd,
		    uint64_t now)
{
	client->fd = fd;
	control->clients++;
	client->id = control->next_id++;
	client->deadline = now + CONTROL_LINE_TIMEOUT;
	client->give_up = client->deadline;
	client->answering = false;
	client->start = client->len = 0;
	if (loop_add(control->loop, fd, EPOLLIN, LOOP_CONTROL_CLIENT, client->id) < 0)
		drop(control, client);
}

void control_accept(struct control *control, const struct device *dev)
{
	struct control_client *client;

	while ((client = find_free(control))) {
		int fd = listener_accept(&control->listener);

		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return;
		welcome(control, client, fd, dev->now);
	}
	/* Who comes now waits in the socket's queue. */
	loop_remove(control->loop, control->listener.fd);
	control->full = true;
}

/* Sends a piece of the answer; the next one is for the next turn. */
static void send_some(struct control *control, struct control_client *client,
		      const struct device *dev)
{
	ssize_t n;

	if (!client->len) {
		client->start = 0;
		client->len =
			answer_next(&client->answer, dev, client->buf, CONTROL_PIECE);
	}
	n = send(client->fd, client->buf + client->start, client->len,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop(control, client);
		return;
	}
	if (n >= 0) {
		client->start += (size_t)n;
		client->len -= (size_t)n;
		client->deadline = dev->now + CONTROL_STALL_TIMEOUT;
	}
	if (!client->len && client->answer.done)
		drop(control, client);
}

static void begin_answer(struct control *control, struct control_client *client,
			 size_t line_len, const struct device *dev)
{
	answer_begin(&client->answer, client->buf, line_len, control->began);
	client->answering = true;
	client->len = 0;
	client->give_up = dev->now + CONTROL_ANSWER_TIMEOUT;
	if (loop_change(control->loop, client->fd, EPOLLOUT, LOOP_CONTROL_CLIENT,
			client->id) < 0)
		drop(control, client);
	else
		send_some(control, client, dev);
}

static void read_line(struct control *control, struct control_client *client,
		      const struct device *dev)
{
	ssize_t n = recv(client->fd, client->buf + client->len,
			 CONTROL_LINE_MAX - client->len, MSG_DONTWAIT);
	const char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(control, client);
		return;
	}
	client->len += (size_t)n;
	end = memchr(client->buf, '\n', client->len);
	if (end)
		begin_answer(control, client, (size_t)(end - client->buf), dev);
	else if (client->len == CONTROL_LINE_MAX)
		begin_answer(control, client, client->len, dev);
}

void control_on_client(struct control *control, uint32_t id, const struct device *dev)
{
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->client[i];

		if (client->fd < 0 || client->id != id)
			continue;
		if (client->answering)
			send_some(control, client, dev);
		else
			read_line(control, client, dev);
		return;
	}
}

static uint64_t due(const struct control_client *client)
{
	return client->deadline < client->give_up ? client->deadline : client->give_up;
}

void control_run(struct control *control, uint64_t now)
{
	struct error err;

	if (control->listener.fd < 0)
		return;
	for (int i = 0; control->clients && i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->client[i];

		if (client->fd < 0 || now < due(client))
			continue;
		log_limited(LOG_LEVEL_WARNING, "a client of %s is cut off: it %s",
			    control->listener.name,
			    client->answering ? "does not read its answer"
					      : "sends no request");
		drop(control, client);
	}
	if (control->full && find_free(control)) {
		control->full = false;
		control->listener.rests_until = now;
	}
	/* What cannot be watched now is tried again. */
	listener_run(&control->listener, &err);
}

int control_timeout(const struct control *control, uint64_t now)
{
	uint64_t first = 0;

	for (int i = 0; control->clients && i < CONTROL_CLIENTS_MAX; i++) {
		const struct control_client *client = &control->client[i];

		if (client->fd >= 0 && (!first || due(client) < first))
			first = due(client);
	}
	return loop_sooner(listener_timeout(&control->listener),
			   !first	 ? -1
			   : first > now ? (int)(first - now)
					 : 0);
}
