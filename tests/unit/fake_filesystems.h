/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems for an agent of a test's own, of a /proc made of plain files. Nothing is
 * frozen or trimmed: the system calls are this file's, which write down what is asked
 * of them, and hang or kill where there is a mark for it beside the mount point.
 */
#ifndef FAKE_FILESYSTEMS_H
#define FAKE_FILESYSTEMS_H

#include "file_client.h"

#include <linux/fs.h>

#include "../../agent/mounts.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

static char asked[PATH_MAX]; /* a file: a line for each ioctl */

/* How long what hangs does so, if a test that has failed does not end it. */
#define HANG_MS (2 * PATIENCE)

static inline bool has_mark(const char *path, const char *mark)
{
	char name[PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s.%s", path, mark);
	return !access(name, F_OK);
}

static inline void set_mark(const char *path, const char *mark)
{
	char name[PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s.%s", path, mark);
	close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* False: there was none. */
static inline bool clear_mark(const char *path, const char *mark)
{
	char name[PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s.%s", path, mark);
	return !unlink(name);
}

/* As a call in the kernel that waits for a dead disk does, while there is the mark. */
static inline void hang(const char *path, const char *mark)
{
	deadline_t end = deadline_after_ms(HANG_MS);

	while (has_mark(path, mark) && deadline_left_ms(end))
		usleep(2000);
}

static inline int fake_open(const char *path, int flags)
{
	hang(path, "open-hangs");
	return open(path, flags);
}

static inline void write_down(const char *what, const char *path)
{
	char line[PATH_MAX + 16];
	int fd = open(asked, O_WRONLY | O_APPEND | O_CLOEXEC);
	int len = snprintf(line, sizeof(line), "%s %s\n", what, strrchr(path, '/') + 1);

	if (write(fd, line, len) != len)
		abort();
	close(fd);
}

static inline void freeze_path(const char *path)
{
	set_mark(path, "freezing");
	hang(path, "freeze-hangs");
	set_mark(path, "frozen");
	write_down("freeze", path);
	if (has_mark(path, "kills"))
		raise(SIGKILL);
	if (has_mark(path, "kills-all"))
		kill(0, SIGKILL);
}

/* A directory with "cannot" in its name cannot; one with "broken" fails. */
static inline int fake_ioctl(int fd, unsigned long request, void *arg)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (strstr(path, "cannot")) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (strstr(path, "broken") && request != FITHAW) {
		errno = EIO;
		return -1;
	}
	if (request == FITHAW && !clear_mark(path, "frozen")) {
		errno = EINVAL;
		return -1;
	}
	if (request == FIFREEZE) {
		freeze_path(path);
		return 0;
	}
	if (request == FITRIM)
		((struct fstrim_range *)arg)->len = 4096;
	write_down(request == FITHAW ? "thaw" : "trim", path);
	return 0;
}

/* Adds a line for a directory of the fixture. */
static inline void add_mount(const struct fixture *f, const char *name,
			     const char *escaped, unsigned int minor, const char *type,
			     const char *options)
{
	char path[PATH_MAX], info[PATH_MAX];
	struct statx st;
	FILE *file;

	path_of(f, name, path);
	assert_true(!mkdir(path, 0755) || errno == EEXIST);
	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st), 0);
	path_of(f, "proc/self/mountinfo", info);
	file = fopen(info, "a");
	assert_non_null(file);
	fprintf(file,
		"%llu 1 8:%u / %s/%s %s,relatime shared:1 master:2 - %s /dev/sd\\040a "
		"%s\n",
		(unsigned long long)st.stx_mnt_id, minor, f->dir, escaped, options,
		type, options);
	fclose(file);
}

static inline int start(void **state)
{
	struct fixture *f;
	int ret;

	mounts_open_path = fake_open;
	mounts_ioctl = fake_ioctl;
	snprintf(asked, sizeof(asked), "/tmp/vmctl-agent-asked.%d", getpid());
	fclose(fopen(asked, "w"));
	ret = start_agent(state);
	f = *state;
	put_file(f, "proc/filesystems", "nodev\ttmpfs\nnodev\tproc\n\text4\n\txfs\n");
	put_file(f, "proc/self/mountinfo", "");
	add_mount(f, "proc", "proc", 100, "proc", "rw");
	add_mount(f, "one", "one", 1, "ext4", "rw");
	add_mount(f, "t\no", "t\\012o", 2, "xfs", "rw");
	add_mount(f, "one", "one", 1, "ext4", "rw"); /* the same again */
	add_mount(f, "read", "read", 3, "ext4", "ro");
	add_mount(f, "cannot", "cannot", 4, "ext4", "rw");
	return ret;
}

static inline int stop(void **state)
{
	int ret = stop_agent(state);

	unlink(asked);
	return ret;
}

static inline void get_asked(char *text, size_t size)
{
	FILE *file = fopen(asked, "r");
	size_t n = fread(text, 1, size - 1, file);

	text[n] = '\0';
	fclose(file);
}

static inline bool was_asked(const char *lines)
{
	char text[4096];

	get_asked(text, sizeof(text));
	return !strcmp(text, lines);
}

/* How often, at any time. */
static inline unsigned int count_asked(const char *line)
{
	char text[4096];
	unsigned int n = 0;

	get_asked(text, sizeof(text));
	for (const char *p = text; (p = strstr(p, line)); p++)
		n++;
	return n;
}

static inline bool is_thawed(const struct fixture *f, const char *name)
{
	char path[PATH_MAX];

	path_of(f, name, path);
	return !has_mark(path, "frozen");
}

static inline int freeze(struct rpc *rpc, const struct fixture *f, const char *name,
			 uint64_t timeout_ms, size_t *n_results)
{
	Vmctl__Agent__V1__FreezeFilesystemsRequest request =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	ProtobufCBinaryData names[1];
	char path[PATH_MAX];
	struct error err;
	int ret;

	if (name) {
		path_of(f, name, path);
		names[0] = message_bytes(path);
		request.mountpoints = names;
		request.n_mountpoints = 1;
	}
	request.timeout_ms = timeout_ms;
	ret = guest_rpc_call(rpc, "FreezeFilesystems", &request.base,
			     &vmctl__agent__v1__freeze_filesystems_response__descriptor,
			     patience(), &reply, &err);
	if (!ret)
		*n_results = ((Vmctl__Agent__V1__FreezeFilesystemsResponse *)reply)
				     ->n_results;
	message_free(reply);
	return ret;
}

static inline int thaw(struct rpc *rpc, size_t *n_results, bool *expired)
{
	Vmctl__Agent__V1__ThawFilesystemsRequest request =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_REQUEST__INIT;
	const Vmctl__Agent__V1__ThawFilesystemsResponse *r;
	ProtobufCMessage *reply = NULL;
	struct error err;
	int ret =
		guest_rpc_call(rpc, "ThawFilesystems", &request.base,
			       &vmctl__agent__v1__thaw_filesystems_response__descriptor,
			       patience(), &reply, &err);

	if (!ret) {
		r = (const Vmctl__Agent__V1__ThawFilesystemsResponse *)reply;
		*n_results = r->n_results;
		*expired = r->expired;
	}
	message_free(reply);
	return ret;
}

static inline bool is_frozen(struct rpc *rpc)
{
	Vmctl__Agent__V1__GetFreezeStatusRequest request =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_REQUEST__INIT;
	ProtobufCMessage *reply;
	struct error err;
	bool frozen;

	assert_int_equal(
		guest_rpc_call(
			rpc, "GetFreezeStatus", &request.base,
			&vmctl__agent__v1__get_freeze_status_response__descriptor,
			patience(), &reply, &err),
		0);
	frozen = ((Vmctl__Agent__V1__GetFreezeStatusResponse *)reply)->frozen;
	message_free(reply);
	return frozen;
}

static inline int stop_unless_killed(void **state)
{
	return *state ? stop(state) : 0;
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_unless_killed)

#endif
