// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "service.h"
#include "session.h"

/*
 * No file is no policy at the start only: later it may be one that an editor is about
 * to replace, and what it refuses must not be allowed meanwhile.
 */
static int load_policy(struct agent *agent, struct error *err)
{
	const struct agent_options *options = agent->options;
	bool may_miss = options->policy_may_miss && !agent->policy.n_rules;
	int ret = options->policy
			  ? agent_policy_load(&agent->policy, options->policy, err)
			  : 0;

	if (!ret)
		agent_policy_warn(&agent->policy, options->policy, options->services);
	return ret == -ENOENT && may_miss ? 0 : ret;
}

static void reload(struct agent *agent)
{
	struct error err;
	int ret;

	agent_manager_reloading();
	ret = load_policy(agent, &err);
	if (ret < 0)
		agent_log(AGENT_LOG_ERROR, "%s; the policy stays as it was%s", err.text,
			  ret == -ENOENT ? "; an empty file would allow everything"
					 : "");
	else
		agent_log(AGENT_LOG_INFO, "policy read: %zu rules",
			  agent->policy.n_rules);
	agent_manager_reloaded();
}

static void signal_ready(struct agent_source *source, uint32_t events)
{
	struct agent *agent = agent_container(source, struct agent, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(agent);
		return;
	}
	agent_log(AGENT_LOG_INFO, "%s: ending", strsignal(info.ssi_signo));
	agent_loop_stop(&agent->loop);
}

static int signals_start(struct agent *agent, struct error *err)
{
	sigset_t set;
	int ret;

	/* Inherited SIG_IGN would make the kernel reap jobs behind our back. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return error_set(err, -errno, "sigprocmask: %s", strerror(errno));
	agent->signals.ready = signal_ready;
	agent->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->signals.fd < 0)
		return error_set(err, -errno, "signalfd: %s", strerror(errno));
	ret = agent_loop_add(&agent->loop, &agent->signals, EPOLLIN);
	if (ret < 0)
		return error_set(err, ret, "epoll_ctl: %s", strerror(-ret));
	return 0;
}

/* *n: how many have been started, whatever comes of the rest. */
static int services_start(struct agent *agent, size_t *n, struct error *err)
{
	const struct agent_service *const *services = agent->options->services;
	int ret = 0;

	for (*n = 0; !ret && services[*n]; ++*n) {
		if (services[*n]->start)
			ret = services[*n]->start(agent, err);
		if (ret)
			return error_prefix(err, "%s", services[*n]->name);
	}
	return ret;
}

static void stop(struct agent *agent, size_t n_services)
{
	struct agent_session *session;

	agent_manager_stop(&agent->manager);
	agent_listener_stop(&agent->listener);
	agent_listener_stop(&agent->kata_listener);
	while ((session = TAILQ_FIRST(&agent->sessions)))
		agent_session_destroy(session);
	while (n_services--)
		if (agent->options->services[n_services]->stop)
			agent->options->services[n_services]->stop(agent);
	agent_jobs_stop(&agent->jobs);
	agent_children_stop(&agent->children);
	agent_policy_free(&agent->policy);
	if (agent->signals.fd >= 0) {
		agent_loop_remove(&agent->loop, &agent->signals);
		close(agent->signals.fd);
	}
	agent_budget_stop(agent);
	agent_log_stop();
	agent_loop_free(&agent->loop);
}

static int listener_outcome(const struct agent_listener *listener, struct error *err)
{
	if (!listener->failed)
		return 0;
	return error_set(err, listener->error.code, "%s", listener->error.text);
}

int agent_run(const struct agent_options *options, struct error *err)
{
	struct agent agent = {.options = options, .signals.fd = -1};
	size_t n_services = 0;
	int ret;

	TAILQ_INIT(&agent.sessions);
	ret = agent_loop_init(&agent.loop, err);
	if (ret < 0)
		return ret;
	agent_log_start(&agent.loop);
	agent_budget_init(&agent);
	agent_children_init(&agent.children, &agent.loop);
	agent_jobs_init(&agent.jobs, &agent.loop, &agent.children);
	agent_listener_init(&agent.listener, &agent, &options->listen);
	agent_listener_init(&agent.kata_listener, &agent, &options->kata_listen);
	ret = signals_start(&agent, err);
	if (!ret)
		ret = load_policy(&agent, err);
	if (!ret)
		ret = services_start(&agent, &n_services, err);
	if (!ret)
		ret = agent_listener_start(&agent.listener, err);
	if (!ret && options->kata)
		ret = agent_listener_start(&agent.kata_listener, err);
	if (!ret) {
		agent_manager_ready(&agent.manager, &agent.loop);
		ret = agent_loop_run(&agent.loop, err);
	}
	if (!ret)
		ret = listener_outcome(&agent.listener, err);
	if (!ret)
		ret = listener_outcome(&agent.kata_listener, err);
	stop(&agent, n_services);
	return ret;
}
