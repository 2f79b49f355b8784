// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "identity.h"

#define STATUS_FD    3
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* As a C string, or NULL: no memory, or a NUL in it (then errno is EINVAL). */
static char *text_of(const ProtobufCBinaryData *bytes)
{
	if (bytes->len && memchr(bytes->data, '\0', bytes->len)) {
		errno = EINVAL;
		return NULL;
	}
	return bytes->len ? strndup((char *)bytes->data, bytes->len) : strdup("");
}

static int fail_text(const char *what, size_t i, struct error *err)
{
	if (errno == EINVAL)
		return error_set(err, -EINVAL, "%s %zu has a NUL in it", what, i);
	return error_set(err, -ENOMEM, "no memory for the command");
}

static int read_arguments(struct command *command,
			  const Vmctl__Agent__V1__ExecStart *start, struct error *err)
{
	command->arguments = calloc(start->n_arguments + 1, sizeof(char *));
	if (!command->arguments)
		return error_set(err, -ENOMEM, "no memory for the command");
	for (size_t i = 0; i < start->n_arguments; i++) {
		command->arguments[i] = text_of(&start->arguments[i]);
		if (!command->arguments[i])
			return fail_text("argument", i, err);
	}
	if (start->n_arguments && !*command->arguments[0])
		return error_set(err, -EINVAL, "the command's name is empty");
	return 0;
}

/* NAME=VALUE of one variable. */
static int read_variable(const Vmctl__Agent__V1__EnvironmentVariable *variable,
			 size_t i, char **to, struct error *err)
{
	char *name = text_of(&variable->name), *value = NULL;
	int ret = 0;

	if (!name)
		return fail_text("the name of environment variable", i, err);
	if (!*name || strchr(name, '='))
		ret = error_set(err, -EINVAL,
				"the name of environment variable %zu is empty or has "
				"a '=' in it",
				i);
	else if (!(value = text_of(&variable->value)))
		ret = fail_text("the value of environment variable", i, err);
	else if (asprintf(to, "%s=%s", name, value) < 0)
		ret = error_set(err, -ENOMEM, "no memory for the command");
	free(name);
	free(value);
	return ret;
}

static int read_environment(struct command *command,
			    const Vmctl__Agent__V1__ExecStart *start, struct error *err)
{
	int ret = 0;

	command->environment = calloc(start->n_environment + 1, sizeof(char *));
	if (!command->environment)
		return error_set(err, -ENOMEM, "no memory for the command");
	for (size_t i = 0; !ret && i < start->n_environment; i++)
		ret = read_variable(start->environment[i], i, &command->environment[i],
				    err);
	return ret;
}

int command_read(struct command *command, const Vmctl__Agent__V1__ExecStart *start,
		 struct error *err)
{
	int ret;

	memset(command, 0, sizeof(*command));
	ret = read_arguments(command, start, err);
	if (!ret)
		ret = read_environment(command, start, err);
	if (!ret && start->directory.len) {
		command->directory = text_of(&start->directory);
		if (!command->directory)
			ret = fail_text("directory", 0, err);
	}
	if (!ret) {
		command->user = strdup(start->user);
		if (!command->user)
			ret = error_set(err, -ENOMEM, "no memory for the command");
	}
	if (ret)
		command_free(command);
	return ret;
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void command_free(struct command *command)
{
	free_list(command->arguments);
	free_list(command->environment);
	free(command->directory);
	free(command->user);
	memset(command, 0, sizeof(*command));
}

/* What follows runs in the new process. */

static void forget_agent(void)
{
	/* As the kernel wants it, which is larger with no architecture. */
	static const unsigned char fresh[64];
	int fd;

	/* The C library refuses the two real-time signals that it has for itself, and
	 * whoever started the agent may have had them ignored. */
	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, fresh, NULL, (NSIG - 1) / 8);
	agent_child_unblock();
	umask(022);
	clearenv();
	/* The agent's unit makes the agent the last to be killed, not its commands. */
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "0", 1) < 0)
		errno = 0; /* it stays as it is */
	close(fd);
}

static int open_terminal(int master, int *slave, struct error *err)
{
	char name[64];

	if (ptsname_r(master, name, sizeof(name)))
		return error_set(err, -errno, "a terminal: %s", strerror(errno));
	*slave = open(name, O_RDWR);
	if (*slave < 0 || ioctl(*slave, TIOCSCTTY, 0) < 0)
		return error_set(err, -errno, "terminal %s: %s", name, strerror(errno));
	return 0;
}

/* Leaves open 0, 1, 2 and STATUS_FD, and nothing else. */
static int arrange_files(const struct command_files *files, struct error *err)
{
	int from[3] = {files->input, files->output, files->errors}, slave = -1;
	int ret;

	if (files->terminal >= 0) {
		ret = open_terminal(files->terminal, &slave, err);
		if (ret)
			return ret;
		from[0] = from[1] = from[2] = slave;
	}
	/* All of the agent's are above 2, which main() sees to. */
	for (int i = 0; i < 3; i++)
		if (dup2(from[i], i) < 0)
			return error_set(err, -errno, "dup2: %s", strerror(errno));
	return 0;
}

static const char *home_of(const struct identity *id)
{
	return *id->home ? id->home : "/";
}

static const char *shell_of(const struct identity *id)
{
	return *id->shell ? id->shell : "/bin/sh";
}

static int set_environment(const struct command *command, const struct identity *id)
{
	const char *name = id->known ? id->name : id->uid ? "" : "root";
	int ret = setenv("PATH", PATH_DEFAULT, 1) || setenv("HOME", home_of(id), 1) ||
		  setenv("SHELL", shell_of(id), 1);

	if (!ret && *name)
		ret = setenv("USER", name, 1) || setenv("LOGNAME", name, 1);
	for (size_t i = 0; !ret && command->environment[i]; i++)
		ret = putenv(command->environment[i]);
	return ret ? -ENOMEM : 0;
}

static int enter_directory(const struct command *command, const struct identity *id,
			   struct error *err)
{
	if (command->directory) {
		if (chdir(command->directory) < 0)
			return error_set(err, -errno, "directory %s: %s",
					 command->directory, strerror(errno));
		return 0;
	}
	if (chdir(home_of(id)) < 0 && chdir("/") < 0)
		return error_set(err, -errno, "directory /: %s", strerror(errno));
	return 0;
}

static int become(const struct command *command, const char *root, pid_t parent,
		  struct identity *id, struct error *err)
{
	int ret = identity_find(root, command->user, id, err);

	/* A terminal is its user's. */
	if (!ret && isatty(STDIN_FILENO) && fchown(STDIN_FILENO, id->uid, -1) < 0)
		ret = error_set(err, -errno, "the terminal's owner: %s",
				strerror(errno));
	if (!ret && *command->user)
		ret = identity_become(id, err);
	if (!ret)
		ret = enter_directory(command, id, err);
	if (ret)
		return ret;
	/* A change of user takes this back, so it comes after that. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return error_set(err, -ESRCH, "the agent has gone");
	ret = set_environment(command, id);
	return ret ? error_set(err, ret, "no memory for the environment") : 0;
}

static int execute(const struct command *command, const struct identity *id,
		   struct error *err)
{
	char login[PATH_MAX + 1], *shell[] = {login, NULL};
	const char *path = shell_of(id), *slash = strrchr(path, '/');

	if (command->arguments[0]) {
		path = command->arguments[0];
		execvp(path, command->arguments);
	} else {
		snprintf(login, sizeof(login), "-%s", slash ? slash + 1 : path);
		execv(path, shell);
	}
	/* What the caller gave wrong, not what the guest lacks. */
	if (errno == E2BIG)
		return error_set(err, -EINVAL,
				 "the command's arguments and environment are more "
				 "than the guest's kernel takes");
	return error_set(err, -errno, "command %s: %s", path, strerror(errno));
}

__attribute__((noreturn)) static void child(const struct command *command,
					    const char *root,
					    const struct command_files *files,
					    pid_t parent)
{
	struct error err = {0};
	struct identity id;
	int ret;

	forget_agent();
	setsid();
	ret = arrange_files(files, &err);
	if (dup3(files->status, STATUS_FD, O_CLOEXEC) < 0 && errno != EINVAL)
		_exit(1);
	closefrom(STATUS_FD + 1);
	if (!ret)
		ret = become(command, root, parent, &id, &err);
	if (!ret)
		execute(command, &id, &err);
	if (write(STATUS_FD, &err, sizeof(err)) != sizeof(err))
		_exit(2);
	_exit(1);
}

pid_t command_start(const struct command *command, const char *root,
		    const struct command_files *files)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid)
		child(command, root, files, parent);
	return pid < 0 ? -errno : pid;
}
