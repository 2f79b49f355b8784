/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the agent's calls about files, for its tests. */
#ifndef FILE_CLIENT_H
#define FILE_CLIENT_H

#include "test_agent_common.h"

#include <sha256.h>

#include "../../host-cli/rpc.h"
#include "vmctl/agent/v1/file.pb-c.h"

#define ROOT	"guest" /* what the agent's files are beneath, in the fixture */
#define OUTSIDE "outside"

typedef Vmctl__Agent__V1__WriteFileRequest WriteRequest;
typedef Vmctl__Agent__V1__WriteFileOpen WriteOpen;
typedef Vmctl__Agent__V1__WriteFileResponse WriteResponse;
typedef Vmctl__Agent__V1__ReadFileRequest ReadRequest;
typedef Vmctl__Agent__V1__ReadFileResponse ReadResponse;
typedef Vmctl__Agent__V1__FilePrefix Prefix;

static inline ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static inline deadline_t patience(void)
{
	return deadline_after_ms(PATIENCE);
}

static inline uint8_t *pack(const ProtobufCMessage *message, size_t *len)
{
	uint8_t *packed;

	*len = protobuf_c_message_get_packed_size(message);
	packed = malloc(*len + 1);
	assert_non_null(packed);
	protobuf_c_message_pack(message, packed);
	return packed;
}

static inline int call_agent(struct rpc *rpc, const char *method,
			     const ProtobufCMessage *message, uint8_t **reply,
			     size_t *reply_len, struct error *err)
{
	struct rpc_request request = {SERVICE, method, NULL, 0};
	uint8_t *packed = pack(message, &request.len);
	int ret;

	request.payload = packed;
	*reply = NULL;
	ret = rpc_call(rpc, &request, patience(), reply, reply_len, err);
	free(packed);
	return ret;
}

static inline int open_call(struct rpc *rpc, struct rpc_stream *stream,
			    const char *method, const ProtobufCMessage *message,
			    enum rpc_direction direction, struct error *err)
{
	struct rpc_request request = {SERVICE, method, NULL, 0};
	uint8_t *packed = pack(message, &request.len);
	int ret;

	request.payload = packed;
	ret = rpc_open(stream, rpc, &request, direction, DEADLINE_NEVER, patience(),
		       err);
	free(packed);
	return ret;
}

static inline void send_message(struct rpc_stream *stream,
				const ProtobufCMessage *message)
{
	struct error err;
	size_t len;
	uint8_t *packed = pack(message, &len);
	int ret = rpc_send(stream, packed, len, patience(), &err);

	free(packed);
	/* -EPIPE: the agent has ended the stream. */
	assert_true(!ret || ret == -EPIPE);
}

/* 1, 0 or an error of rpc_recv(). */
static inline int take_write_response(struct rpc_stream *stream, uint64_t *offset,
				      bool *done, struct error *err)
{
	uint8_t *message;
	size_t len;
	int ret = rpc_recv(stream, patience(), &message, &len, err);

	if (ret == 1) {
		WriteResponse *r = vmctl__agent__v1__write_file_response__unpack(
			NULL, len, message);

		assert_non_null(r);
		*offset = r->offset;
		*done = r->done;
		vmctl__agent__v1__write_file_response__free_unpacked(r, NULL);
	}
	free(message);
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
	ret = open_call(rpc, stream, "WriteFile", &first.base, RPC_CLIENT_SENDS, err);
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

	request.path = bytes_of(path);
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
	uint8_t *message;
	bool ended = false;
	size_t len;
	int ret;

	request.path = bytes_of(path);
	request.prefix = prefix;
	*used = 0;
	ret = open_call(rpc, &stream, "ReadFile", &request.base, RPC_SERVER_SENDS, err);
	while (!ret &&
	       (ret = rpc_recv(&stream, patience(), &message, &len, err)) == 1) {
		ReadResponse *r = vmctl__agent__v1__read_file_response__unpack(
			NULL, len, message);

		assert_non_null(r);
		assert_false(ended);
		ended = r->end;
		if (r->stat)
			*offset = r->offset;
		assert_true(*used + r->data.len < size);
		if (r->data.len)
			memcpy(to + *used, r->data.data, r->data.len);
		*used += r->data.len;
		vmctl__agent__v1__read_file_response__free_unpacked(r, NULL);
		free(message);
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
