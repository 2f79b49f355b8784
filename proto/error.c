/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char rest[ERROR_TEXT_MAX];
	va_list ap;

	if (!err)
		return -EIO;
	memcpy(rest, err->text, sizeof(rest));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	strncat(err->text, ": ", sizeof(err->text) - strlen(err->text) - 1);
	strncat(err->text, rest, sizeof(err->text) - strlen(err->text) - 1);
	return err->code ? err->code : -EIO;
}
