// SPDX-License-Identifier: Apache-2.0
#include "ssh_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "answer.h"
#include "cleanup.h"
#include "identity.h"
#include "replace.h"
#include "ssh_key.h"
#include "sysfile.h"
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

/* In the job. */

static bool is_asked(const Request *request, const char *line, size_t len)
{
	struct ssh_key key, asked;

	if (!ssh_key_find(line, len, &key))
		return false;
	for (size_t i = 0; i < request->n_keys; i++)
		if (ssh_key_find(request->keys[i], strlen(request->keys[i]), &asked) &&
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

static int remove_keys(const Request *request, char *text)
{
	char *to = text;
	int n = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");
		size_t line = len + (text[len] == '\n');

		if (is_asked(request, text, len)) {
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
static int add_keys(const Request *request, char *text)
{
	size_t len = strlen(text);
	int n = 0;

	for (size_t i = 0; i < request->n_keys; i++) {
		const char *line = request->keys[i];
		size_t more = strlen(line) + 2;

		if (has_key(text, line))
			continue;
		if (len + more > FILE_MAX)
			return -EFBIG;
		if (len && text[len - 1] != '\n')
			text[len++] = '\n';
		len += (size_t)sprintf(text + len, "%s\n", line);
		n++;
	}
	return n;
}

static int open_folder(const char *root, enum change change, const struct identity *id,
		       int *folder, struct error *err)
{
	cleanup_close int home =
		sysfile_open(root, id->home, O_PATH | O_DIRECTORY, NULL);

	if (home < 0)
		return error_set(err, home, "the home of %s, %s: %s", id->name,
				 id->home, strerror(-home));
	if (change == ADD && mkdirat(home, ".ssh", 0700) < 0 && errno != EEXIST)
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

/* Fills text with the file as it is then; returns how many keys of it have changed. */
static int change_file(const char *root, const Request *request, enum change change,
		       char *text, struct error *err)
{
	const char *user = *request->user ? request->user : "root";
	cleanup_close int folder = -1;
	struct identity id;
	int n, ret = identity_find(root, user, &id, err);

	if (!ret && !id.known)
		ret = error_set(err, -ENOENT, "the guest has no user '%s'", user);
	if (!ret)
		ret = identity_become(&id, err);
	if (!ret)
		ret = open_folder(root, change, &id, &folder, err);
	if (ret || folder < 0)
		return ret;
	ret = read_file(folder, text, err);
	if (ret || change == LIST)
		return ret;
	n = change == ADD ? add_keys(request, text) : remove_keys(request, text);
	if (n < 0)
		return error_set(err, n, FILE_NAME " would be too large");
	if (n)
		ret = replace_file(folder, FILE_NAME, text, strlen(text), 0600, err);
	return ret ? ret : n;
}

/* The lines of the text that are keys; it is written to. */
static int send_keys(struct agent_answer *answer, char *text, uint32_t changed,
		     struct error *err)
{
	Response response = VMCTL__AGENT__V1__SSH_KEYS_RESPONSE__INIT;
	struct ssh_key key;

	response.keys = agent_answer_alloc(KEYS_MAX, sizeof(*response.keys));
	while (*text && response.n_keys < KEYS_MAX) {
		size_t len = strcspn(text, "\n");
		char *next = text + len + (text[len] == '\n');

		text[len] = '\0';
		/* A protobuf string is UTF-8, which a comment need not be. */
		for (char *c = text; *c; c++)
			if ((signed char)*c < ' ')
				*c = '?';
		if (ssh_key_find(text, len, &key))
			response.keys[response.n_keys++] = text;
		text = next;
	}
	response.changed = changed;
	return agent_answer_send(answer, &response.base, err);
}

static int make(struct agent_answer *answer, const struct agent *agent,
		const ProtobufCMessage *request, enum change change, struct error *err)
{
	char *text = agent_answer_alloc(FILE_MAX + 1, 1);
	int ret;

	umask(077);
	ret = change_file(agent->options->root, (const Request *)request, change, text,
			  err);
	return ret < 0 ? ret : send_keys(answer, text, (uint32_t)ret, err);
}

static int make_list(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *request, struct error *err)
{
	return make(answer, agent, request, LIST, err);
}

static int make_add(struct agent_answer *answer, const struct agent *agent,
		    const ProtobufCMessage *request, struct error *err)
{
	return make(answer, agent, request, ADD, err);
}

static int make_remove(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *request, struct error *err)
{
	return make(answer, agent, request, REMOVE, err);
}

/* In the agent. */

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

static void keys(struct agent_call *call, const ProtobufCMessage *request)
{
	static agent_answer_fn *const makes[] = {
		[LIST] = make_list, [ADD] = make_add, [REMOVE] = make_remove};

	if (are_keys(call, (const Request *)request))
		agent_answer_start_slow(call, request, makes[change_of(call)]);
}

#define KEYS_METHOD(text, change_it)                                          \
	{                                                                     \
		.name = text, .changes = change_it, .writes = change_it,      \
		.request = &vmctl__agent__v1__ssh_keys_request__descriptor,   \
		.request_max = FILE_MAX,                                      \
		.response = &vmctl__agent__v1__ssh_keys_response__descriptor, \
		.handle = keys, .cancel = agent_answer_cancel,                \
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
