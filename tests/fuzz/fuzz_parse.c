// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on what the agent reads of others' bytes beside its messages: frames in
 * pieces of any size, the kernel's mountinfo, lines of authorized_keys, its policy. The
 * first byte says which.
 */
#include <ctype.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../agent/mounts.h"
#include "../../agent/policy.h"
#include "../../agent/ssh_key.h"
#include "fuzz.h"
#include "ttrpc.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

static char root[4096]; /* with what is in the files, below proc */
static char policy_path[64];
static int mountinfo_fd, filesystems_fd, policy_fd;

/* Files that are read by name, and are in memory. */
static int make_file(const char *name, char *path, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK((size_t)snprintf(path, size, "/proc/self/fd/%d", fd) < size);
	return fd;
}

static int make_link(const char *name)
{
	char path[sizeof(root) + 64], target[64];
	int fd = make_file(name, target, sizeof(target));

	snprintf(path, sizeof(path), "%s/proc/%s", root, name);
	CHECK(!symlink(target, path));
	return fd;
}

static void fill(int fd, const uint8_t *data, size_t size)
{
	CHECK(!ftruncate(fd, 0));
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("TMPDIR");
	char path[sizeof(root) + 64];

	(void)argc;
	(void)argv;
	snprintf(root, sizeof(root), "%s/fuzz-root.XXXXXX", dir ? dir : "/tmp");
	CHECK(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/proc", root);
	CHECK(!mkdir(path, 0700));
	strcat(path, "/self");
	CHECK(!mkdir(path, 0700));
	mountinfo_fd = make_link("self/mountinfo");
	filesystems_fd = make_link("filesystems");
	policy_fd = make_file("policy", policy_path, sizeof(policy_path));
	return 0;
}

/* What came out of a stream: a number for all of its frames. */
struct frames {
	uint64_t sum;
	unsigned int count;
};

static void add(struct frames *frames, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		frames->sum =
			(frames->sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
}

/* Reads a stream `step` bytes at a time, or as many as the reader wants. */
static struct frames read_stream(const uint8_t *data, size_t size, size_t step)
{
	struct frames frames = {0};
	struct ttrpc_reader reader;
	struct ttrpc_header h;
	const uint8_t *payload;

	ttrpc_reader_init(&reader);
	while (size) {
		size_t len;
		void *space = ttrpc_reader_space(&reader, &len);
		enum ttrpc_take taken;

		CHECK(space && len);
		CHECK(reader.capacity <= TTRPC_HEADER_SIZE + TTRPC_PAYLOAD_MAX);
		if (len > size)
			len = size;
		if (len > step)
			len = step;
		memcpy(space, data, len);
		data += len;
		size -= len;
		ttrpc_reader_advance(&reader, len);
		taken = ttrpc_reader_take(&reader, &h, &payload);
		if (taken == TTRPC_TAKE_MORE)
			continue;
		frames.count++;
		add(&frames, &h.stream_id, sizeof(h.stream_id));
		if (taken == TTRPC_TAKE_FRAME) {
			CHECK(h.length <= TTRPC_PAYLOAD_MAX);
			add(&frames, payload, h.length);
		} else {
			CHECK(h.length > TTRPC_PAYLOAD_MAX);
		}
	}
	ttrpc_reader_free(&reader);
	return frames;
}

static void fuzz_frames(const uint8_t *data, size_t size)
{
	struct frames whole, parts;

	if (!size)
		return;
	whole = read_stream(data + 1, size - 1, SIZE_MAX);
	parts = read_stream(data + 1, size - 1, *data % 16 + 1);
	CHECK(whole.count == parts.count && whole.sum == parts.sum);
}

/* mountinfo, a NUL, and what /proc/filesystems has. */
static void fuzz_mounts(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	size_t len = end ? (size_t)(end - data) : size;
	struct mounts mounts;
	struct error err;

	fill(mountinfo_fd, data, len);
	fill(filesystems_fd, end ? end + 1 : NULL, end ? size - len - 1 : 0);
	if (!mounts_read(root, &mounts, &err)) {
		for (size_t i = 0; i < mounts.n; i++) {
			const struct mount *m = &mounts.mount[i], *found;
			ProtobufCBinaryData name = {strlen(m->mountpoint),
						    (uint8_t *)m->mountpoint};

			CHECK(m->source && m->type);
			found = mounts_find(&mounts, &name);
			CHECK(found && !strcmp(found->mountpoint, m->mountpoint));
			for (size_t k = 0; k < i; k++)
				CHECK(mounts.mount[k].major != m->major ||
				      mounts.mount[k].minor != m->minor);
		}
	}
	mounts_free(&mounts);
}

static void fuzz_key(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1), *exact = malloc(size + !size);
	struct ssh_key key, again;
	bool found;

	CHECK(line && exact);
	memcpy(line, data, size);
	line[size] = '\0';
	/* Where one byte more would be seen. */
	memcpy(exact, data, size);
	found = ssh_key_find(exact, size, &key);
	if (found) {
		CHECK(key.type >= exact && key.len <= size);
		CHECK(key.type + key.len <= exact + size);
		CHECK(ssh_key_find(key.type, key.len, &again));
		CHECK(ssh_key_equal(&key, &again));
	}
	if (ssh_key_is_line(line)) {
		CHECK(ssh_key_find(line, strlen(line), &key));
		for (const char *c = line; *c; c++)
			CHECK(!iscntrl((unsigned char)*c));
	}
	free(line);
	free(exact);
}

static void fuzz_policy(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"Ping", "Exec", "GetTime", ""};
	struct agent_policy policy = {0};
	struct error err = {0};
	size_t lines = 1;
	int ret;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	fill(policy_fd, data, size);
	ret = agent_policy_load(&policy, policy_path, &err);
	CHECK(ret <= 0);
	if (ret)
		CHECK(*err.text && !policy.n_rules);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		unsigned int line = agent_policy_refuses(
			&policy, "vmctl.agent.v1.GuestAgent", methods[i]);

		CHECK(line <= lines);
		CHECK(!ret || !line);
		for (size_t k = 0; line && k < policy.n_rules; k++)
			CHECK(policy.rules[k].line != line || !policy.rules[k].allow);
	}
	agent_policy_free(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(const uint8_t *data, size_t size) = {
		fuzz_frames,
		fuzz_mounts,
		fuzz_key,
		fuzz_policy,
	};

	if (!size)
		return -1;
	targets[*data % 4](data + 1, size - 1);
	return 0;
}
