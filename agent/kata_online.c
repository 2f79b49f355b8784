// SPDX-License-Identifier: Apache-2.0
/*
 * OnlineCPUMem. Kata's runtimes count on an answer after 5 s, but one write to a CPU's
 * `online` file takes as long as the kernel gives the CPU to start, 10 s: so the writes
 * are a process's of their own, which is left alone when the time is up.
 */
#include "kata.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "guest_cpu.h"
#include "guest_memory.h"
#include "sysfile.h"

#define CPU_DIR	     "/sys/devices/system/cpu"
#define ONLINE_TRIES 100 /* 50 ms apart: 5 s */
#define ONLINE_PAUSE 50000000
#define ONLINE_MS    5000

/* What the writing process tells, in memory that both have. */
struct progress {
	atomic_uint missing; /* CPUs: as few as there have been yet */
	int ret;
	struct error err;
};

/* Whether the CPU is online now: it may have had to be told. */
static bool bring_online(const char *root, uint32_t cpu)
{
	char path[sizeof(CPU_DIR) + 32];
	long long online = 0;

	snprintf(path, sizeof(path), CPU_DIR "/cpu%u/online", cpu);
	if (sysfile_read_number(root, path, 10, &online, NULL) < 0)
		return false;
	if (!online)
		sysfile_write(root, path, "1", NULL);
	return !sysfile_read_number(root, path, 10, &online, NULL) && online == 1;
}

/* One try: how many CPUs of those wanted beyond the mask's are still missing. */
static unsigned int try_online(const char *root, const struct guest_cpus *cpus,
			       unsigned int missing, struct progress *progress)
{
	for (uint32_t cpu = 0; cpu < GUEST_CPU_MAX && missing; cpu++) {
		if (guest_cpu_test(&cpus->present, cpu) &&
		    !guest_cpu_test(&cpus->online, cpu) && bring_online(root, cpu))
			missing--;
		if (missing < progress->missing)
			progress->missing = missing;
	}
	return missing;
}

static int not_online(unsigned int missing, struct error *err)
{
	return error_set(err, -EIO, "failed to online %u CPU(s) after %d retries",
			 missing, ONLINE_TRIES);
}

/* In the process that writes. nb_cpus is how many there shall be in all. */
static int online_cpus(const char *root, uint32_t nb_cpus, struct progress *progress,
		       struct error *err)
{
	const struct timespec pause = {.tv_nsec = ONLINE_PAUSE};
	deadline_t deadline = deadline_after_ms(ONLINE_MS);
	unsigned int missing = 0, n, i;
	struct guest_cpus cpus;

	for (i = 0; i < ONLINE_TRIES && deadline_left_ms(deadline); i++) {
		/* CPUs that the kernel is still adding are seen the next time. */
		int ret = guest_cpu_read(root, &cpus, err);

		if (ret < 0)
			return ret;
		n = guest_cpu_count(&cpus.online);
		if (n >= nb_cpus)
			return 0;
		missing = try_online(root, &cpus, nb_cpus - n, progress);
		if (!missing)
			return 0;
		nanosleep(&pause, NULL);
	}
	return not_online(missing, err);
}

static void writer(const char *root, uint32_t nb_cpus, pid_t parent,
		   struct progress *progress)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	/* The agent takes the answer to be whole when nobody has its pipe any more. */
	close(AGENT_CHILD_FD);
	progress->ret = online_cpus(root, nb_cpus, progress, &progress->err);
	_exit(0);
}

/* Waits for the writer, for ONLINE_MS at most. */
static int wait_for(pid_t pid, struct progress *progress, struct error *err)
{
	deadline_t deadline = deadline_after_ms(ONLINE_MS);
	cleanup_close int fd = pidfd_open(pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status, n;

	if (fd < 0)
		return error_set(err, -errno, "pidfd_open: %s", strerror(errno));
	do {
		n = poll(&p, 1, deadline_left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		/* It ends when the kernel is done with its write; not waited for. */
		kill(pid, SIGKILL);
		return not_online(progress->missing, err);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status))
		return error_set(err, -EIO,
				 "the process that brings CPUs online ended early");
	*err = progress->err;
	return progress->ret;
}

static int online_in_time(const char *root, uint32_t nb_cpus, struct error *err)
{
	pid_t parent = getpid(), pid;
	struct progress *progress =
		mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (progress == MAP_FAILED)
		return error_set(err, -errno, "mmap: %s", strerror(errno));
	progress->missing = nb_cpus;
	pid = fork();
	if (!pid)
		writer(root, nb_cpus, parent, progress);
	if (pid < 0)
		return error_set(err, -errno, "fork: %s", strerror(errno));
	return wait_for(pid, progress, err);
}

/* One pass; a block that fails stays as it is. */
static void online_memory(const char *root)
{
	cleanup_free struct guest_memory_block *blocks = NULL;
	size_t n;

	if (guest_memory_read(root, &blocks, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(blocks[i].state, "offline"))
			guest_memory_set(root, blocks[i].block, "online");
}

int kata_make_online(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *message, struct error *err)
{
	const Grpc__OnlineCPUMemRequest *request =
		(const Grpc__OnlineCPUMemRequest *)message;
	const char *root = agent->options->root;
	int ret = 0;

	if (request->nb_cpus)
		ret = online_in_time(root, request->nb_cpus, err);
	if (ret)
		return ret;
	if (!request->cpu_only)
		online_memory(root);
	return kata_send_empty(answer, err);
}
