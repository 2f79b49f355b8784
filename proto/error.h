/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in words. A function that can fail takes a `struct error *`
 * as its last argument, fills it where the cause is known and returns the same
 * negative errno; callers pass it up, may add what they were doing, and main()
 * prints it once.
 */
#ifndef PROTO_ERROR_H
#define PROTO_ERROR_H

#define ERROR_TEXT_MAX 512

struct error {
	int code;		   /* negative errno */
	char text[ERROR_TEXT_MAX]; /* one line, no newline; cut to fit */
};

/*
 * Both return a negative errno, so that `return error_set(...)` reads well: the
 * given code, and err->code (or -EIO with no err). err may be NULL.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int error_prefix(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
