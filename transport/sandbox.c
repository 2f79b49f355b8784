/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amount.h"
#include "log.h"
#include "notify.h"
#include "sandbox_calls.h"
#include "sandbox_mounts.h"

/* The C library's own: memory, signals, the end. */
SANDBOX_CALLS("brk", "mmap", "munmap", "mremap", "madvise", "rt_sigreturn",
	      "rt_sigprocmask", "restart_syscall", "exit_group", "exit", "gettid",
	      "tgkill", "clock_gettime", "getrandom");

/* The linker's: where the section of sandbox_calls.h begins and ends. */
extern const char *const __start_system_calls[], *const __stop_system_calls[];

int sandbox_parse_user(const char *text, struct sandbox_user *user, struct error *err)
{
	char name[64];
	const char *group = strchr(text, ':');
	size_t len = group ? (size_t)(group - text) : strlen(text);
	const struct passwd *pw;
	const struct group *gr;
	uint64_t number;

	if (!len || len >= sizeof(name))
		return error_set(err, -EINVAL, "USER or USER:GROUP was expected");
	memcpy(name, text, len);
	name[len] = 0;
	pw = getpwnam(name);
	if (pw) {
		user->uid = pw->pw_uid;
		user->gid = pw->pw_gid;
	} else if (group && amount_parse(name, 1, INT32_MAX, &number) == 0) {
		user->uid = (uid_t)number;
	} else {
		return error_set(err, -ENOENT, "there is no user %s%s", name,
				 group ? "" : ", and a number needs a group behind it");
	}
	if (group) {
		gr = getgrnam(group + 1);
		if (gr)
			user->gid = gr->gr_gid;
		else if (amount_parse(group + 1, 1, INT32_MAX, &number) == 0)
			user->gid = (gid_t)number;
		else
			return error_set(err, -ENOENT, "there is no group %s",
					 group + 1);
	}
	user->name = text;
	return 0;
}

static void hide(const struct sandbox *sandbox)
{
	struct error err;

	if (unshare(CLONE_NEWNS) < 0) {
		log_debug("no mount namespace of its own: %s", strerror(errno));
		return;
	}
	if (sandbox_mounts(sandbox, &err) < 0)
		log_warning("all files stay in sight: %s", err.text);
	if (!sandbox->network && unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		log_warning("no network namespace of its own: %s", strerror(errno));
}

static int become(const struct sandbox_user *user, struct error *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return error_set(err, -errno, "cannot become --user %s: %s", user->name,
				 strerror(errno));
	if (setuid(0) == 0)
		return error_set(err, -EPERM, "could become root again");
	return 0;
}

/*
 * Root needs one to go on being let in to sockets that are others'. Everybody else
 * has none anyway.
 */
static int drop_capabilities(struct error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &head, data) < 0)
		return error_set(err, -errno, "cannot read capabilities: %s",
				 strerror(errno));
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i] = (struct __user_cap_data_struct){
			.permitted = i ? 0 : data[i].permitted & 1u << CAP_DAC_OVERRIDE,
		};
	data[0].effective = data[0].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return error_set(err, -errno, "cannot drop capabilities: %s",
				 strerror(errno));
	return 0;
}

int sandbox_confine(const struct sandbox *sandbox, struct error *err)
{
	int ret;

	if (sandbox->mode != SANDBOX_NONE) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		hide(sandbox);
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
			prctl(PR_CAPBSET_DROP, cap);
	}
	if (sandbox->user.name) {
		ret = become(&sandbox->user, err);
		if (ret < 0)
			return ret;
		/* What was wanted in case the holder dies was forgotten with it. */
		if (notify_is_held())
			prctl(PR_SET_PDEATHSIG, SIGTERM);
	}
	if (sandbox->mode == SANDBOX_NONE)
		return 0;
	prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set(err, -errno, "cannot give up new privileges: %s",
				 strerror(errno));
	return drop_capabilities(err);
}

static int allow_family(scmp_filter_ctx ctx, int family)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				SCMP_A0_32(SCMP_CMP_EQ, (scmp_datum_t)family));
}

/* Not F_SETOWN and F_SETSIG, which make the kernel send signals to others. */
static int allow_fcntl(scmp_filter_ctx ctx)
{
	static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL,
				       F_DUPFD_CLOEXEC};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		ret = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1_32(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return ret;
}

static int allow(scmp_filter_ctx ctx, const struct sandbox *sandbox, const char *name)
{
	int call = seccomp_syscall_resolve_name(name);
	int ret;

	/* Some are only there on other architectures, in place of others. */
	if (call == __NR_SCMP_ERROR)
		return 0;
	if (call == SCMP_SYS(mmap))
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (call == SCMP_SYS(fcntl))
		return allow_fcntl(ctx);
	/* abort() signals its own process, and nobody else is to be signalled. */
	if (call == SCMP_SYS(tgkill))
		return seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, call, 1,
			SCMP_A0_32(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (call != SCMP_SYS(socket))
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
	ret = allow_family(ctx, AF_UNIX);
	if (ret == 0 && sandbox->network)
		ret = allow_family(ctx, AF_INET);
	if (ret == 0 && sandbox->network)
		ret = allow_family(ctx, AF_INET6);
	if (ret == 0 && sandbox->network)
		ret = allow_family(ctx, AF_VSOCK);
	return ret;
}

int sandbox_seal(const struct sandbox *sandbox, struct error *err)
{
	const char *const *name;
	scmp_filter_ctx ctx;
	int ret = 0;

	if (sandbox->mode == SANDBOX_NONE)
		return 0;
	ctx = seccomp_init(sandbox->mode == SANDBOX_LOG ? SCMP_ACT_LOG
							: SCMP_ACT_KILL_PROCESS);
	if (!ctx)
		return error_set(err, -ENOMEM, "cannot make a seccomp filter");
	/* cppcheck-suppress comparePointers */
	for (name = __start_system_calls; ret == 0 && name < __stop_system_calls;
	     name++)
		ret = allow(ctx, sandbox, *name);
	/* The most frequent ones are not to be found at the end of a list. */
	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (ret == 0)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret < 0)
		return error_set(err, ret,
				 "cannot restrict the system calls: %s; --sandbox=none "
				 "does without",
				 strerror(-ret));
	return 0;
}
