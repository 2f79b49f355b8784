// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "service.h"

#define RULES_MAX     1000
#define CALL_NAME_MAX 512 /* a service, a slash and a method */

void agent_policy_free(struct agent_policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		free(policy->rules[i].pattern);
	free(policy->rules);
	*policy = (struct agent_policy){0};
}

static int add_rule(struct agent_policy *policy, unsigned int line, bool allow,
		    const char *pattern)
{
	struct agent_policy_rule *rules;

	if (policy->n_rules == RULES_MAX)
		return -E2BIG;
	rules = realloc(policy->rules, (policy->n_rules + 1) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	policy->rules = rules;
	rules += policy->n_rules;
	*rules = (struct agent_policy_rule){line, allow, strdup(pattern)};
	if (!rules->pattern)
		return -ENOMEM;
	policy->n_rules++;
	return 0;
}

static int parse_line(struct agent_policy *policy, unsigned int number, char *line)
{
	char *save, *verb, *pattern;

	line[strcspn(line, "#\n")] = '\0';
	verb = strtok_r(line, " \t\r", &save);
	if (!verb)
		return 0;
	pattern = strtok_r(NULL, " \t\r", &save);
	if (!pattern || strtok_r(NULL, " \t\r", &save))
		return -EINVAL;
	/* One with neither could match no call, and would be a mistake. */
	if (!strpbrk(pattern, "/*"))
		return -EINVAL;
	if (strcmp(verb, "allow") && strcmp(verb, "deny"))
		return -EINVAL;
	return add_rule(policy, number, !strcmp(verb, "allow"), pattern);
}

static int parse_file(struct agent_policy *policy, FILE *file, const char *path,
		      struct error *err)
{
	unsigned int number = 0;
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (!ret && (errno = 0, getline(&line, &size, file)) >= 0)
		ret = parse_line(policy, ++number, line);
	if (ret == -EINVAL)
		error_set(err, ret,
			  "%s:%u: a line is 'allow' or 'deny' and a pattern of "
			  "SERVICE/METHOD",
			  path, number);
	else if (ret)
		error_set(err, ret, "%s:%u: %s", path, number, strerror(-ret));
	else if (ferror(file))
		ret = error_set(err, -EIO, "reading %s: %s", path, strerror(errno));
	free(line);
	return ret;
}

/* A FIFO would be waited for: it is read in the loop. NULL: err says why. */
static FILE *open_file(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *file = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		error_set(err, -errno, "open %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) /* /dev/null */
		error_set(err, -ENOTSUP, "%s is no file", path);
	else if (!(file = fdopen(fd, "r")))
		error_set(err, -errno, "open %s: %s", path, strerror(errno));
	if (!file && fd >= 0)
		close(fd);
	return file;
}

int agent_policy_load(struct agent_policy *policy, const char *path, struct error *err)
{
	struct agent_policy fresh = {0};
	FILE *file = open_file(path, err);
	int ret;

	if (!file)
		return err->code;
	ret = parse_file(&fresh, file, path, err);
	fclose(file);
	if (ret) {
		agent_policy_free(&fresh);
		return ret;
	}
	agent_policy_free(policy);
	*policy = fresh;
	return 0;
}

static bool matches(const struct agent_policy_rule *rule, const char *service,
		    const char *method)
{
	char call[CALL_NAME_MAX];

	snprintf(call, sizeof(call), "%s/%s", service, method);
	return !fnmatch(rule->pattern, call, 0);
}

static bool matches_any(const struct agent_policy_rule *rule,
			const struct agent_service *const *services)
{
	for (; *services; services++)
		for (size_t i = 0; i < (*services)->n_methods; i++)
			if (matches(rule, (*services)->name,
				    (*services)->methods[i].name))
				return true;
	return false;
}

void agent_policy_warn(const struct agent_policy *policy, const char *path,
		       const struct agent_service *const *services)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct agent_policy_rule *rule = &policy->rules[i];

		/* One for Kata's calls may be there for when they are served. */
		if (!matches_any(rule, services) &&
		    !matches_any(rule, agent_services_kata))
			agent_log(AGENT_LOG_WARNING,
				  "%s:%u: no call of this agent matches %s", path,
				  rule->line, rule->pattern);
	}
}

unsigned int agent_policy_refuses(const struct agent_policy *policy,
				  const char *service, const char *method)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct agent_policy_rule *rule = &policy->rules[i];

		if (matches(rule, service, method))
			return rule->allow ? 0 : rule->line;
	}
	return 0;
}
