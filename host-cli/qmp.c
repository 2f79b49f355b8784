/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "endpoint.h"

#define READ_SIZE 16384

/* Makes room for READ_SIZE more bytes behind what is unread. */
static int make_room(struct qmp *q, struct error *err)
{
	size_t wanted;
	char *grown;

	if (q->taken) {
		memmove(q->buf, q->buf + q->taken, q->used - q->taken);
		q->used -= q->taken;
		q->taken = 0;
	}
	if (q->used > QMP_LINE_MAX)
		return error_set(err, -EMSGSIZE,
				 "QMP sent a line of more than %u bytes", QMP_LINE_MAX);
	if (q->capacity - q->used >= READ_SIZE)
		return 0;
	wanted = 2 * q->capacity + READ_SIZE;
	grown = realloc(q->buf, wanted);
	if (!grown)
		return error_set(err, -ENOMEM, "no memory for QMP's answer");
	q->buf = grown;
	q->capacity = wanted;
	return 0;
}

/* Reads some bytes, waiting for the first of them. */
static int fill(struct qmp *q, deadline_t deadline, struct error *err)
{
	struct pollfd p = {.fd = q->fd, .events = POLLIN};
	int left, ret = make_room(q, err);
	ssize_t n;

	if (ret)
		return ret;
	for (;;) {
		left = deadline_left_ms(deadline);
		if (!left)
			return error_set(err, -ETIMEDOUT, "QMP did not answer in time");
		if (poll(&p, 1, left) <= 0)
			continue;
		n = recv(q->fd, q->buf + q->used, READ_SIZE, MSG_DONTWAIT);
		if (n > 0) {
			q->used += n;
			return 0;
		}
		if (!n)
			return error_set(err, -ECONNRESET,
					 "QEMU closed the QMP connection");
		if (errno != EAGAIN && errno != EINTR)
			return error_set(err, -errno, "reading QMP: %s",
					 strerror(errno));
	}
}

/* Parses the next whole line. A line is valid as it stands in the buffer. */
static int next_object(struct qmp *q, deadline_t deadline, json_t **object,
		       struct error *err)
{
	size_t searched = 0;
	json_error_t why;
	char *start, *end;
	size_t len;

	for (;;) {
		int ret;

		start = q->buf + q->taken;
		len = q->used - q->taken;
		end = memchr(start + searched, '\n', len - searched);
		if (end)
			break;
		searched = len;
		ret = fill(q, deadline, err);
		if (ret)
			return ret;
	}
	len = end - start;
	q->taken += len + 1;
	if (len > QMP_LINE_MAX)
		return error_set(err, -EMSGSIZE,
				 "QMP sent a line of more than %u bytes", QMP_LINE_MAX);
	*object = json_loadb(start, len, JSON_REJECT_DUPLICATES, &why);
	if (json_is_object(*object))
		return 0;
	json_decref(*object);
	*object = NULL;
	return error_set(err, -EPROTO, "QMP sent a line that is no JSON object");
}

static int send_command(struct qmp *q, const char *command, json_t *arguments,
			uint64_t id, deadline_t deadline, struct error *err)
{
	json_t *o = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)id);
	cleanup_free char *line = NULL;
	size_t len;
	int ret;

	if (arguments)
		json_object_set_new(o, "arguments", arguments);
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!line)
		return error_set(err, -ENOMEM, "no memory for a QMP command");
	len = strlen(line);
	line[len] = '\n'; /* takes the place of the NUL */
	ret = io_write_full(q->fd, line, len + 1, deadline, NULL);
	if (ret)
		return error_set(err, ret, "sending %s to QMP: %s", command,
				 strerror(-ret));
	return 0;
}

/* Whether an object is the reply to that id. A reply without id is too: QEMU
 * leaves it out where it could not parse the command. */
static bool is_reply(const json_t *o, uint64_t id)
{
	const json_t *its = json_object_get(o, "id");

	if (!json_object_get(o, "return") && !json_object_get(o, "error"))
		return false;
	return !its ||
	       (json_is_integer(its) && (uint64_t)json_integer_value(its) == id);
}

static int take_reply(const char *command, const json_t *o, json_t **ret,
		      struct error *err)
{
	const json_t *error = json_object_get(o, "error");
	const char *desc = json_string_value(json_object_get(error, "desc"));

	if (error)
		return error_set(err, QMP_REFUSED, "QEMU refused %s: %s", command,
				 desc ? desc : "no reason given");
	if (ret)
		*ret = json_incref(json_object_get(o, "return"));
	return 0;
}

int qmp_execute(struct qmp *q, const char *command, json_t *arguments,
		deadline_t deadline, json_t **ret, struct error *err)
{
	uint64_t id = q->next_id++;
	json_t *o = NULL;
	int rc;

	if (q->fd < 0) {
		json_decref(arguments);
		return error_set(err, -ECONNRESET, "there is no QMP connection");
	}
	rc = send_command(q, command, arguments, id, deadline, err);
	while (!rc) {
		rc = next_object(q, deadline, &o, err);
		if (rc)
			break;
		if (json_object_get(o, "event")) {
			q->events++;
		} else if (is_reply(o, id)) {
			rc = take_reply(command, o, ret, err);
			json_decref(o);
			return rc;
		} else {
			rc = error_set(err, -EPROTO,
				       "QMP answered %s with neither its reply nor "
				       "an event",
				       command);
		}
		json_decref(o);
	}
	/* What comes now could answer this command or the next: stop here. */
	close(q->fd);
	q->fd = -1;
	return rc;
}

int qmp_open(struct qmp *q, const char *path, deadline_t deadline, struct error *err)
{
	json_t *o = NULL;
	int ret;

	memset(q, 0, sizeof(*q));
	q->fd = endpoint_connect_unix(path, deadline, err);
	if (q->fd < 0)
		return q->fd;
	ret = make_room(q, err);
	if (ret)
		return ret;
	ret = next_object(q, deadline, &o, err);
	if (ret == -ETIMEDOUT)
		return error_set(err, ret,
				 "no greeting from %s in time; it serves one client "
				 "at a time, is another one connected?",
				 path);
	if (ret)
		return ret;
	if (!json_is_object(json_object_get(o, "QMP")))
		ret = error_set(err, -EPROTO, "%s does not greet as QMP does", path);
	json_decref(o);
	return ret ? ret
		   : qmp_execute(q, "qmp_capabilities", NULL, deadline, NULL, err);
}

void qmp_close(struct qmp *q)
{
	if (q->fd >= 0)
		close(q->fd);
	free(q->buf);
	memset(q, 0, sizeof(*q));
	q->fd = -1;
}
