/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings in and out: what a user typed, and what a peer wants printed.
 */
#ifndef HOST_CLI_TEXT_H
#define HOST_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Turns every byte that is not printable ASCII into '?', in place. A guest's
 * words go to a terminal, and escape sequences must not.
 */
void text_sanitize(char *s);

/* Copies at most size - 1 of the len bytes up to the first NUL, sanitized. */
void text_copy(char *to, size_t size, const char *from, size_t len);

/* A decimal number from min to max with nothing behind it; 0 or -EINVAL. */
int text_number(const char *s, uint64_t min, uint64_t max, uint64_t *value);

/* Seconds with an optional fraction ("2", "0.5") as ms, 1 to 10^9; or -EINVAL. */
int text_seconds(const char *s, int64_t *ms);

/*
 * "512", "512M", "2G", "1T" as MiB (a bare number is MiB, as in QEMU). -EINVAL for what
 * is no size, or one whose bytes a signed 64-bit number, as JSON has them, cannot hold.
 */
int text_mebibytes(const char *s, uint64_t *mib);

/*
 * "4096", "64K", "64M", "2G", "1T" as bytes, from min to max, of which the latter is no
 * more than a signed 64-bit number; or -EINVAL.
 */
int text_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *bytes);

/*
 * A list of numbers and ranges ("1,3-5") of at most `max` each. Fills list with
 * at most size numbers in the order given and *count with how many. -EINVAL for
 * what is no list, -EEXIST for a number twice, -E2BIG for too many.
 */
int text_list(const char *s, uint32_t max, uint32_t *list, size_t size, size_t *count);

/*
 * Gives each word between commas to take(), an empty one too. Ends with what that
 * returns, if it is not 0.
 */
int text_words(const char *s, int (*take)(void *into, const char *word, size_t len),
	       void *into);

/* The word as one a POSIX shell (and xargs) reads back unchanged. Caller frees. */
char *text_quote(const char *word);

#endif
