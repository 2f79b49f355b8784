// SPDX-License-Identifier: Apache-2.0
#include "ssh_key.h"

#include <ctype.h>
#include <string.h>

static const char *const types[] = {"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"};

/* The length of the word at the start, with what stands within quotes. */
static size_t word_len(const char *text, size_t len)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (text[i] == '\\' && i + 1 < len && text[i + 1] == '"')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == ' ' || text[i] == '\t'))
			break;
	}
	return i < len ? i : len;
}

static bool is_type(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (len > strlen(types[i]) &&
		    !strncmp(word, types[i], strlen(types[i])))
			return true;
	return false;
}

static size_t base64_len(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (isalnum((unsigned char)text[i]) || strchr("+/=", text[i])))
		i++;
	return i;
}

bool ssh_key_find(const char *line, size_t len, struct ssh_key *key)
{
	while (len && *line != '#') {
		size_t word = word_len(line, len), rest = len - word;

		if (is_type(line, word) && rest > 1) {
			key->type = line;
			key->len = word + 1 + base64_len(line + word + 1, rest - 1);
			return key->len > word + 1;
		}
		line += word + (rest > 0);
		len = rest - (rest > 0);
	}
	return false;
}

bool ssh_key_is_line(const char *line)
{
	struct ssh_key key;

	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return ssh_key_find(line, strlen(line), &key);
}

bool ssh_key_equal(const struct ssh_key *a, const struct ssh_key *b)
{
	return a->len == b->len && !memcmp(a->type, b->type, a->len);
}
