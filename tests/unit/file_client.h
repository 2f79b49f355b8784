/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the agent's calls about files, for its tests. */
#ifndef FILE_CLIENT_H
#define FILE_CLIENT_H

#include "test_agent_common.h"

#include <sha256.h>

#include "../../host-cli/guest_rpc.h"
#include "vmctl/agent/v1/file.pb-c.h"

#define ROOT	"guest" /* what the agent's files are beneath, in the fixture */
#define OUTSIDE "outside"

typedef Vmctl__Agent__V1__WriteFileRequest WriteRequest;
typedef Vmctl__Agent__V1__WriteFileOpen WriteOpen;
typedef Vmctl__Agent__V1__WriteFileResponse WriteResponse;
typedef Vmctl__Agent__V1__ReadFileRequest ReadRequest;
typedef Vmctl__Agent__V1__ReadFileResponse ReadResponse;
typedef Vmctl__Agent__V1__FilePrefix Prefix;

static inline deadline_t patience(void)
{
	return deadline_after_ms(PATIENCE);
}

/* Of an agent whose files are beneath ROOT. */
static inline int start_with_files(void **state)
{
	struct fixture *f;
	int ret;

	test_files_root = ROOT;
	ret = start_agent(state);
	f = *state;
	put_file(f, ROOT "/etc/hello", "hello from the guest");
	put_file(f, OUTSIDE "/secret", "secret");
	return ret;
}

static inline void make_link(const struct fixture *f, const char *name,
			     const char *target)
{
	char path[PATH_MAX];

	path_of(f, name, path);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static inline void send_message(struct rpc_stream *stream,
				const ProtobufCMessage *message)
{
	struct error err;
	int ret = guest_rpc_send(stream, message, patience(), &err);

	/* -EPIPE: the agent has ended the stream. */
	assert_true(!ret || ret == -EPIPE);
}

/* 1, 0 or an error of guest_rpc_next(). */
static inline int take_write_response(struct rpc_stream *stream, uint64_t *offset,
				      bool *done, struct error *err)
{
	ProtobufCMessage *message;
	int ret = guest_rpc_next(stream,
				 &vmctl__agent__v1__write_file_response__descriptor,
				 patience(), &message, err);

	if (ret == 1) {
		*offset = ((WriteResponse *)message)->offset;
		*done = ((WriteResponse *)message)->done;
		message_free(message);
	}
	return ret;
}

/* Opens a write; returns where the data is to begin, or an error. */
static inline int64_t begin_write(struct rpc *rpc, struct rpc_stream *stream,
				  const WriteOpen *open, struct error *err)
{
	WriteRequest first = VMCTL__AGENT__V1__WRITE_FILE_REQUEST__INIT;
	uint64_t offset = 0;
	bool done = false;
	int ret;

	first.open = (WriteOpen *)open;
	ret = guest_rpc_open(rpc, stream, "WriteFile", &first.base, RPC_CLIENT_SENDS,
			     patience(), err);
	if (ret)
		return ret;
	ret = take_write_response(stream, &offset, &done, err);
	if (ret < 0)
		return ret;
	assert_int_equal(ret, 1);
	assert_false(done);
	return (int64_t)offset;
}

static inline void send_data(struct rpc_stream *stream, const void *data, size_t len)
{
	WriteRequest chunk = VMCTL__AGENT__V1__WRITE_FILE_REQUEST__INIT;

	for (size_t n; len; len -= n, data = (const char *)data + n) {
		n = len < 65536 ? len : 65536;
		chunk.data.data = (uint8_t *)data;
		chunk.data.len = n;
		send_message(stream, &chunk.base);
	}
}

static inline int end_write(struct rpc_stream *stream, struct error *err)
{
	uint64_t offset;
	bool done = false;
	int ret = 0;

	if (stream->sending)
		rpc_close_send(stream, err);
	ret = take_write_response(stream, &offset, &done, err);
	if (ret != 1)
		return ret ? ret : -EIO;
	assert_true(done);
	assert_int_equal(take_write_response(stream, &offset, &done, err), 0);
	return 0;
}

static inline int write_bytes(struct rpc *rpc, const char *path, const void *data,
			      size_t len, struct error *err)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct rpc_stream stream;
	int64_t ret;

	request.path = message_bytes(path);
	request.size = len;
	ret = begin_write(rpc, &stream, &request, err);
	if (ret)
		return (int)ret;
	send_data(&stream, data, len);
	return end_write(&stream, err);
}

static inline int write_text(struct rpc *rpc, const char *path, const char *text,
			     struct error *err)
{
	return write_bytes(rpc, path, text, strlen(text), err);
}

/* Reads a file whole into `to`. *offset: where the data began. */
static inline int read_from(struct rpc *rpc, const char *path, Prefix *prefix,
			    uint64_t *offset, char *to, size_t size, size_t *used,
			    struct error *err)
{
	ReadRequest request = VMCTL__AGENT__V1__READ_FILE_REQUEST__INIT;
	struct rpc_stream stream;
	ProtobufCMessage *message;
	bool ended = false;
	int ret;

	request.path = message_bytes(path);
	request.prefix = prefix;
	*used = 0;
	ret = guest_rpc_open(rpc, &stream, "ReadFile", &request.base, RPC_SERVER_SENDS,
			     patience(), err);
	while (!ret &&
	       (ret = guest_rpc_next(&stream,
				     &vmctl__agent__v1__read_file_response__descriptor,
				     patience(), &message, err)) == 1) {
		const ReadResponse *r = (const ReadResponse *)message;

		assert_false(ended);
		ended = r->end;
		if (r->stat)
			*offset = r->offset;
		assert_true(*used + r->data.len < size);
		if (r->data.len)
			memcpy(to + *used, r->data.data, r->data.len);
		*used += r->data.len;
		message_free(message);
		ret = 0;
	}
	if (!ret)
		assert_true(ended);
	return ret;
}

static inline int read_text(struct rpc *rpc, const char *path, char *to, size_t size,
			    struct error *err)
{
	uint64_t offset;
	size_t used;
	int ret = read_from(rpc, path, NULL, &offset, to, size, &used, err);

	to[ret ? 0 : used] = '\0';
	return ret;
}

static inline Prefix prefix_of(const void *data, size_t len, uint8_t digest[32])
{
	Prefix prefix = VMCTL__AGENT__V1__FILE_PREFIX__INIT;
	SHA2_CTX sum;

	SHA256Init(&sum);
	SHA256Update(&sum, data, len);
	SHA256Final(digest, &sum);
	prefix.size = len;
	prefix.sha256.data = digest;
	prefix.sha256.len = SHA256_DIGEST_LENGTH;
	return prefix;
}

/* How many entries of the directory (below the fixture's) begin so. */
static inline unsigned int count_names(const struct fixture *f, const char *dir,
				       const char *prefix)
{
	char path[PATH_MAX];
	unsigned int n = 0;
	DIR *d;

	path_of(f, dir, path);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *entry; (entry = readdir(d));)
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		     !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(d);
	return n;
}

#endif
