/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "tty.h"

#define PROGRESS_MS 200
#define NAME_LEAST  12

deadline_t copy_deadline(const struct copy *c)
{
	return deadline_after_ms(c->options->timeout_ms);
}

char *copy_join(struct copy *c, const char *dir, const char *name)
{
	size_t len = strlen(dir);
	char *path;

	if (asprintf(&path, "%s%s%s", dir, len && dir[len - 1] != '/' ? "/" : "",
		     name) >= 0)
		return path;
	report_fail(c->report, STATUS_FAILURE, "no memory");
	return NULL;
}

static int stat_guest(struct copy *c, const char *path, bool follow,
		      Vmctl__Agent__V1__StatFileResponse **stat, struct error *err)
{
	Vmctl__Agent__V1__StatFileRequest request =
		VMCTL__AGENT__V1__STAT_FILE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int ret;

	*stat = NULL;
	request.path = message_bytes(path);
	request.follow = follow;
	ret = guest_rpc_call(&c->rpc, "StatFile", &request.base,
			     &vmctl__agent__v1__stat_file_response__descriptor,
			     copy_deadline(c), &reply, err);
	c->answered |= !ret || ret == RPC_REFUSED;
	if (ret)
		return ret;
	*stat = (Vmctl__Agent__V1__StatFileResponse *)reply;
	if ((*stat)->stat)
		return 0;
	message_free(reply);
	*stat = NULL;
	return error_set(err, -EPROTO, "an answer with nothing in it");
}

enum status copy_stat(struct copy *c, const char *path, bool follow,
		      Vmctl__Agent__V1__StatFileResponse **stat)
{
	struct error err = {0};
	int ret = stat_guest(c, path, follow, stat, &err);

	return ret ? copy_fail_guest(c, path, ret, &err) : STATUS_OK;
}

enum status copy_stat_if_any(struct copy *c, const char *path, bool follow,
			     Vmctl__Agent__V1__StatFileResponse **stat)
{
	struct error err = {0};
	int ret = stat_guest(c, path, follow, stat, &err);

	if (ret == RPC_REFUSED && !strncmp(err.text, "NOT_FOUND", 9))
		return STATUS_OK;
	return ret ? copy_fail_guest(c, path, ret, &err) : STATUS_OK;
}

/* What was not to its end, behind why. */
static void tell_how_to_go_on(struct copy *c)
{
	struct report *r = c->report;

	if (c->name)
		report_fail_more(r, STATUS_OK, "; it was at %llu of %llu bytes",
				 (unsigned long long)c->at,
				 (unsigned long long)c->size);
	report_fail_more(r, STATUS_OK,
			 c->resume ? "; run it again to go on with what has come"
				   : "; nothing of it is kept: with --resume it would "
				     "be, and gone on with");
}

enum status copy_fail_guest(struct copy *c, const char *path, int ret,
			    struct error *err)
{
	struct report *r = c->report;

	error_prefix(err, "%s", path);
	if (ret == -ECONNRESET && c->answered)
		report_fail(r, STATUS_BROKEN, "the connection broke (%s)", err->text);
	else
		vm_fail_agent(ret, err, r);
	if (r->status == STATUS_BROKEN || (c->name && ret == -ETIMEDOUT))
		tell_how_to_go_on(c);
	return r->status;
}

void copy_progress_begin(struct copy *c, const char *name, uint64_t at, uint64_t size)
{
	c->name = name;
	c->at = c->began_at = at;
	c->size = size;
	c->began = deadline_after_ms(0);
	c->next = deadline_after_ms(PROGRESS_MS);
	report_debug(c->report, "%s: %llu bytes%s", name, (unsigned long long)size,
		     at ? ", some of which are there already" : "");
}

static void format_bytes(double bytes, char text[static 16])
{
	const char *unit = "BKMGTPE";

	while (bytes >= 1000 && unit[1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 16, bytes < 10 && *unit != 'B' ? "%.1f%c" : "%.0f%c", bytes,
		 *unit);
}

/* How much of a name fits into the line before the figures, of `most`, with its end. */
static size_t name_room(const struct copy *c, size_t figures, size_t most)
{
	size_t taken = strlen(c->report->printable) + strlen(": ") + figures;
	size_t columns = tty_columns(stderr);

	if (columns <= taken + NAME_LEAST)
		return NAME_LEAST;
	return columns - taken < most ? columns - taken : most;
}

void copy_progress(struct copy *c, uint64_t at)
{
	char name[48], done[16], rate[16], left[32] = "", figures[96];
	double seconds, speed;
	size_t len = strlen(c->name), room;

	c->bytes += at - c->at;
	c->at = at;
	if (deadline_left_ms(c->next))
		return;
	c->next = deadline_after_ms(PROGRESS_MS);
	seconds = (double)(deadline_after_ms(0) - c->began) / 1e9;
	speed = seconds > 0 ? (double)(at - c->began_at) / seconds : 0;
	if (at < c->size && speed >= 1)
		snprintf(left, sizeof(left), ", %.0f s left",
			 (double)(c->size - at) / speed);
	format_bytes((double)at, done);
	format_bytes(speed, rate);
	snprintf(figures, sizeof(figures), " %s %u%%, %s/s%s", done,
		 c->size ? (unsigned int)((double)at * 100 / (double)c->size) : 0, rate,
		 left);
	/* The end of a path says more than its beginning. */
	room = name_room(c, strlen(figures), sizeof(name));
	text_copy(name, room, c->name + (len < room ? 0 : len - room + 1), len);
	report_progress(c->report, "%s%s", name, figures);
}

void copy_progress_end(struct copy *c)
{
	c->name = NULL;
}

void copy_skip(struct copy *c, const char *name)
{
	c->skipped++;
	report_warn(c->report, "%s is neither file, directory nor symlink: not copied",
		    name);
}
