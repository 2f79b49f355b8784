/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The end of the labels: a brace that is in no value. */
static const char *labels_end(const char *at)
{
	bool quoted = false;

	for (; *at && *at != '\n'; at++) {
		if (quoted && *at == '\\' && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (*at == '}' && !quoted)
			return at;
	}
	return NULL;
}

static bool parse(const char *line, struct figures_sample *s)
{
	const char *end = line + strcspn(line, "{ \n");
	char *after;

	memset(s, 0, sizeof(*s));
	s->name = line;
	s->name_len = end - line;
	if (*end == '{') {
		s->labels = end + 1;
		end = labels_end(s->labels);
		if (!end)
			return false;
		s->labels_len = end - s->labels;
		end++;
	}
	if (*line == '#' || *end != ' ')
		return false;
	/* strtod would go on to the next line. */
	if (strchr(" \n", end[1]))
		return false;
	s->value = strtod(end + 1, &after);
	return after > end + 1;
}

bool figures_next(const char **at, struct figures_sample *sample)
{
	while (**at) {
		bool is_sample = parse(*at, sample);

		*at += strcspn(*at, "\n");
		*at += **at == '\n';
		if (is_sample)
			return true;
	}
	return false;
}

bool figures_get(const char *text, const char *name, double *value)
{
	size_t len = strlen(name);
	struct figures_sample s;

	while (figures_next(&text, &s)) {
		size_t all = s.labels ? (size_t)(s.labels + s.labels_len + 1 - s.name)
				      : s.name_len;

		if (all == len && !memcmp(s.name, name, len)) {
			*value = s.value;
			return true;
		}
	}
	return false;
}

double figures_sum(const char *text, const char *name, const char *label)
{
	size_t len = strlen(name);
	struct figures_sample s;
	double sum = 0;

	while (figures_next(&text, &s))
		if (s.name_len == len && !memcmp(s.name, name, len) &&
		    (!label || (s.labels &&
				memmem(s.labels, s.labels_len, label, strlen(label)))))
			sum += s.value;
	return sum;
}

bool figures_label(const struct figures_sample *sample, const char *label, char *to,
		   size_t size)
{
	char key[64];
	const char *at, *end;
	size_t n = 0;

	snprintf(key, sizeof(key), "%s=\"", label);
	if (!sample->labels)
		return false;
	at = memmem(sample->labels, sample->labels_len, key, strlen(key));
	if (!at)
		return false;
	end = sample->labels + sample->labels_len;
	for (at += strlen(key); at < end && *at != '"' && n + 1 < size; at++)
		to[n++] = *at;
	to[n] = '\0';
	return true;
}
