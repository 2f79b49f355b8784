// SPDX-License-Identifier: Apache-2.0
#include "ssh_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "identity.h"
#include "replace.h"
#include "ssh_key.h"
#include "vmctl/agent/v1/ssh_keys.pb-c.h"

#define FILE_NAME "authorized_keys"
#define FILE_MAX  (256u << 10) /* bytes of such a file */
#define KEYS_MAX  4096	       /* lines of it */

typedef Vmctl__Agent__V1__SshKeysRequest Request;
typedef Vmctl__Agent__V1__SshKeysResponse Response;

enum change {
	LIST,
	ADD,
	REMOVE
};

/* What the job's process says first; the file's text follows. */
struct outcome {
	struct error err;
	uint32_t changed;
};

struct work {
	struct agent_job job;
	struct agent_call *call; /* NULL: given up */
	enum change change;
	char *user;
	char **keys;
	size_t n_keys;
	const char *root;
	struct {
		struct outcome outcome;
		char text[FILE_MAX + 1];
	} result;
};

static void work_free(struct work *w)
{
	for (size_t i = 0; i < w->n_keys; i++)
		free(w->keys[i]);
	free(w->keys);
	free(w->user);
	free(w);
}

/* What the job's process does. */

static bool is_asked(const struct work *w, const char *line, size_t len)
{
	struct ssh_key key, asked;

	if (!ssh_key_find(line, len, &key))
		return false;
	for (size_t i = 0; i < w->n_keys; i++)
		if (ssh_key_find(w->keys[i], strlen(w->keys[i]), &asked) &&
		    ssh_key_equal(&key, &asked))
			return true;
	return false;
}

static bool has_key(const char *text, const char *line)
{
	struct ssh_key key, wanted;

	if (!ssh_key_find(line, strlen(line), &wanted))
		return false;
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (ssh_key_find(text, len, &key) && ssh_key_equal(&key, &wanted))
			return true;
		text += len + (text[len] == '\n');
	}
	return false;
}

static uint32_t remove_keys(const struct work *w, char *text)
{
	char *to = text;
	uint32_t n = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");
		size_t line = len + (text[len] == '\n');

		if (is_asked(w, text, len)) {
			n++;
		} else {
			memmove(to, text, line);
			to += line;
		}
		text += line;
	}
	*to = '\0';
	return n;
}

/* How many, or -EFBIG. text has room for FILE_MAX bytes. */
static int add_keys(const struct work *w, char *text)
{
	size_t len = strlen(text);
	int n = 0;

	for (size_t i = 0; i < w->n_keys; i++) {
		size_t more = strlen(w->keys[i]) + 2;

		if (has_key(text, w->keys[i]))
			continue;
		if (len + more > FILE_MAX)
			return -EFBIG;
		if (len && text[len - 1] != '\n')
			text[len++] = '\n';
		len += (size_t)sprintf(text + len, "%s\n", w->keys[i]);
		n++;
	}
	return n;
}

static int open_folder(const struct work *w, const struct identity *id, int *folder,
		       struct error *err)
{
	cleanup_close int home = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", w->root, id->home);
	home = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home < 0)
		return error_set(err, -errno, "the home of %s, %s: %s", id->name,
				 id->home, strerror(errno));
	if (w->change == ADD && mkdirat(home, ".ssh", 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "creating .ssh: %s", strerror(errno));
	*folder = openat(home, ".ssh", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*folder < 0 && errno != ENOENT)
		return error_set(err, errno == ELOOP ? -EPERM : -errno, ".ssh: %s",
				 strerror(errno));
	return 0;
}

/* text is empty where there is no file. */
static int read_file(int folder, char *text, struct error *err)
{
	cleanup_close int fd = openat(folder, FILE_NAME,
				      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t used = 0;
	struct stat st;
	ssize_t n;

	*text = '\0';
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return error_set(err, errno == ELOOP ? -EPERM : -errno,
				 FILE_NAME ": %s", strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EPERM, FILE_NAME " is no regular file");
	while ((n = read(fd, text + used, FILE_MAX - used)) > 0)
		used += n;
	text[used] = '\0';
	if (n < 0)
		return error_set(err, -errno, FILE_NAME ": %s", strerror(errno));
	if (used == FILE_MAX || strlen(text) != used)
		return error_set(err, -EINVAL,
				 FILE_NAME " has more than %u bytes, or a NUL",
				 FILE_MAX - 1);
	return 0;
}

static int change_file(const struct work *w, char *text, struct outcome *o)
{
	cleanup_close int folder = -1;
	struct identity id;
	int ret = identity_find(w->root, w->user, &id, &o->err);

	if (!ret && !id.known)
		ret = error_set(&o->err, -ENOENT, "the guest has no user '%s'",
				w->user);
	if (!ret)
		ret = identity_become(&id, &o->err);
	if (!ret)
		ret = open_folder(w, &id, &folder, &o->err);
	if (ret || folder < 0)
		return ret;
	ret = read_file(folder, text, &o->err);
	if (ret || w->change == LIST)
		return ret;
	ret = w->change == ADD ? add_keys(w, text) : (int)remove_keys(w, text);
	if (ret < 0)
		return error_set(&o->err, ret, FILE_NAME " would be too large");
	o->changed = (uint32_t)ret;
	return ret ? replace_file(folder, FILE_NAME, text, strlen(text), 0600, &o->err)
		   : 0;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t n = write(fd, from, len);

		if (n < 0)
			return -errno;
		from += n;
		len -= n;
	}
	return 0;
}

static int run(struct agent_job *job, int fd)
{
	struct work *w = agent_container(job, struct work, job);
	static char text[FILE_MAX + 1];
	struct outcome o = {0};
	int ret;

	umask(077);
	if (!change_file(w, text, &o))
		o.err.code = 0;
	ret = write_all(fd, &o, sizeof(o));
	return ret ? ret : write_all(fd, text, strlen(text));
}

/* In the agent again. */

static void reply(struct work *w)
{
	char **lines = calloc(KEYS_MAX, sizeof(*lines)), *text = w->result.text;
	Response response = VMCTL__AGENT__V1__SSH_KEYS_RESPONSE__INIT;
	struct ssh_key key;

	if (!lines) {
		agent_call_fail(w->call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	while (*text && response.n_keys < KEYS_MAX) {
		size_t len = strcspn(text, "\n");
		char *next = text + len + (text[len] == '\n');

		text[len] = '\0';
		/* A protobuf string is UTF-8, which a comment need not be. */
		for (char *c = text; *c; c++)
			if ((signed char)*c < ' ')
				*c = '?';
		if (ssh_key_find(text, len, &key))
			lines[response.n_keys++] = text;
		text = next;
	}
	response.keys = lines;
	response.changed = w->result.outcome.changed;
	agent_call_reply(w->call, &response.base);
	free(lines);
}

static void job_done(struct agent_job *job)
{
	struct work *w = agent_container(job, struct work, job);
	struct error *err = &w->result.outcome.err;

	err->text[sizeof(err->text) - 1] = '\0';
	if (!w->call)
		;
	else if (job->status || job->used < sizeof(w->result.outcome))
		agent_call_fail(w->call, TTRPC_INTERNAL,
				"the process that has the user's keys ended early: %s",
				strerror(-job->status));
	else if (err->code)
		agent_call_fail_error(w->call, err);
	else
		reply(w);
	work_free(w);
}

static struct work *work_create(const Request *request)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->user = strdup(*request->user ? request->user : "root");
	w->keys = calloc(request->n_keys + 1, sizeof(*w->keys));
	while (w->keys && w->n_keys < request->n_keys &&
	       (w->keys[w->n_keys] = strdup(request->keys[w->n_keys])))
		w->n_keys++;
	if (w->user && w->n_keys == request->n_keys)
		return w;
	work_free(w);
	return NULL;
}

static enum change change_of(const struct agent_call *call)
{
	return *call->method->name == 'L'   ? LIST
	       : *call->method->name == 'A' ? ADD
					    : REMOVE;
}

static bool are_keys(struct agent_call *call, const Request *request)
{
	for (size_t i = 0; i < request->n_keys; i++) {
		if (ssh_key_is_line(request->keys[i]))
			continue;
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT, "key %zu is none", i);
		return false;
	}
	if (!request->n_keys == (change_of(call) == LIST))
		return true;
	agent_call_fail(call, TTRPC_INVALID_ARGUMENT, "%s",
			request->n_keys ? "keys are given to list them"
					: "no keys are given");
	return false;
}

static void keys(struct agent_call *call, const ProtobufCMessage *message)
{
	const Request *request = (const Request *)message;
	struct work *w;

	if (!are_keys(call, request))
		return;
	w = work_create(request);
	if (!w) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	w->call = call;
	w->change = change_of(call);
	w->root = call->agent->options->root;
	/* One byte is left, for the NUL that calloc() has put there. */
	w->job = (struct agent_job){.work = run,
				    .done = job_done,
				    .output = &w->result,
				    .output_size = sizeof(w->result) - 1};
	call->work = w;
	agent_job_start(&call->agent->jobs, &w->job);
}

static void keys_cancel(struct agent_call *call)
{
	struct work *w = call->work;

	w->call = NULL;
	agent_job_cancel(&w->job);
}

#define KEYS_METHOD(text, change_it)                                          \
	{                                                                     \
		.name = text, .changes = change_it,                           \
		.request = &vmctl__agent__v1__ssh_keys_request__descriptor,   \
		.request_max = FILE_MAX,                                      \
		.response = &vmctl__agent__v1__ssh_keys_response__descriptor, \
		.handle = keys, .cancel = keys_cancel,                        \
	}

static const struct agent_method methods[] = {
	KEYS_METHOD("ListSshKeys", false),
	KEYS_METHOD("AddSshKeys", true),
	KEYS_METHOD("RemoveSshKeys", true),
};

const struct agent_service ssh_keys_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
