// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#define MODPROBE       "/sbin/modprobe"
#define PARAMETERS_MAX 64

extern char **environ;

/* What can be no option of modprobe's, and no path. */
static bool is_module_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_-");

	return len && !name[len] && *name != '-' && len < 64;
}

int kata_load_module(const char *name, char *const *parameters, size_t n,
		     struct error *err)
{
	const char *argv[PARAMETERS_MAX + 4] = {"modprobe", "--", name};
	int status, ret;
	pid_t pid;

	if (!is_module_name(name))
		return error_set(err, -EINVAL, "'%.64s' is no name of a module", name);
	if (n > PARAMETERS_MAX)
		return error_set(err, -EINVAL, "%zu parameters for module %s", n, name);
	for (size_t i = 0; i < n; i++)
		argv[3 + i] = parameters[i];
	ret = posix_spawn(&pid, MODPROBE, NULL, NULL, (char *const *)argv, environ);
	if (ret == ENOENT)
		ret = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv,
				   environ);
	if (ret)
		return error_set(err, -ret, MODPROBE ": %s", strerror(ret));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(err, -EIO, "modprobe of %s failed (status 0x%x)", name,
				 status);
	return 0;
}
