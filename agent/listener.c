// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Needs struct sockaddr to be declared before it. */
#include <linux/vm_sockets.h>

#include "agent.h"
#include "cleanup.h"
#include "manager.h"
#include "session.h"

#define RETRY_MS 1000 /* between two tries to listen */
#define PAUSE_MS 200  /* no accept after one that failed */

int agent_address_parse(const char *text, struct agent_address *address,
			struct error *err)
{
	unsigned long long port;
	char *end;

	memset(address, 0, sizeof(*address));
	if (!strncmp(text, "unix:", 5)) {
		address->kind = AGENT_ADDRESS_UNIX;
		if (!text[5])
			return error_set(err, -EINVAL, "'%s' names no path", text);
		if (strlen(text + 5) >= sizeof(address->path))
			return error_set(err, -ENAMETOOLONG,
					 "the path in '%s' is longer than %zu bytes",
					 text, sizeof(address->path) - 1);
		strcpy(address->path, text + 5);
		return 0;
	}
	if (strncmp(text, "vsock:", 6) || text[6] < '0' || text[6] > '9')
		return error_set(err, -EINVAL,
				 "'%s' is no address; give vsock:PORT or unix:PATH",
				 text);
	errno = 0;
	port = strtoull(text + 6, &end, 10);
	if (errno || *end || !port || port >= VMADDR_PORT_ANY)
		return error_set(err, -EINVAL, "'%s': a vsock port is 1 to %u", text,
				 VMADDR_PORT_ANY - 1);
	address->kind = AGENT_ADDRESS_VSOCK;
	address->port = port;
	return 0;
}

bool agent_peer_is_host(const struct sockaddr_storage *peer, socklen_t len)
{
	struct sockaddr_vm vm;

	if (len < sizeof(vm) || peer->ss_family != AF_VSOCK)
		return false;
	memcpy(&vm, peer, sizeof(vm));
	return vm.svm_cid == VMADDR_CID_HOST;
}

static int listen_vsock(const struct agent_address *address, struct error *err)
{
	struct sockaddr_vm vm = {
		.svm_family = AF_VSOCK,
		.svm_port = address->port,
		.svm_cid = VMADDR_CID_ANY,
	};
	cleanup_close int fd =
		socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_set(err, -errno, "socket(AF_VSOCK): %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&vm, sizeof(vm)) < 0)
		return error_set(err, -errno, "bind to vsock port %u: %s%s",
				 address->port, strerror(errno),
				 errno == EADDRINUSE ? "; is another agent running?"
				 : errno == EACCES   ? "; ports below 1024 are root's"
						     : "");
	if (listen(fd, SOMAXCONN) < 0)
		return error_set(err, -errno, "listen on vsock port %u: %s",
				 address->port, strerror(errno));
	return steal_fd(&fd);
}

/* Removes a socket file that nobody listens on any more. */
static void remove_stale(const struct sockaddr_un *un)
{
	cleanup_close int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	/* A file that is no socket refuses connections too (unix(7)). */
	if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	if (fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(un->sun_path);
}

static int listen_unix(const struct agent_address *address, struct error *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	cleanup_close int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t mask;
	int ret;

	if (fd < 0)
		return error_set(err, -errno, "socket(AF_UNIX): %s", strerror(errno));
	memcpy(un.sun_path, address->path, sizeof(un.sun_path));
	remove_stale(&un);
	/* Nobody but the owner, from the first moment; chmod may widen it. */
	mask = umask(0177);
	ret = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	umask(mask);
	if (!ret && listen(fd, SOMAXCONN) < 0)
		ret = -errno;
	if (ret < 0)
		return error_set(err, ret, "listen on %s: %s", address->path,
				 strerror(-ret));
	return steal_fd(&fd);
}

/* Whether a kernel gives this error until its vsock modules are loaded. */
static bool may_pass(int ret)
{
	return ret == -EAFNOSUPPORT || ret == -ENODEV || ret == -EADDRNOTAVAIL ||
	       ret == -EPROTONOSUPPORT || ret == -ESOCKTNOSUPPORT;
}

static void log_refused(struct agent_listener *listener,
			const struct sockaddr_storage *peer)
{
	struct sockaddr_vm vm;
	unsigned int skipped;

	memcpy(&vm, peer, sizeof(vm));
	if (agent_log_permit(&listener->refused, &skipped))
		agent_log(AGENT_LOG_WARNING,
			  "refused a connection from CID %u port %u: only the host "
			  "(CID 2) "
			  "is let in (%u more since the last such line)",
			  vm.svm_cid, vm.svm_port, skipped);
}

static void pause_accepting(struct agent_listener *listener, int error)
{
	unsigned int skipped;

	/* What is wrong (no descriptors, no memory) would fail again at once. */
	agent_loop_watch(&listener->agent->loop, &listener->source, 0);
	agent_loop_arm(&listener->agent->loop, &listener->retry,
		       deadline_after_ms(PAUSE_MS));
	if (agent_log_permit(&listener->broken, &skipped))
		agent_log(AGENT_LOG_WARNING,
			  "accept: %s; trying again (%u more since the last such line)",
			  strerror(error), skipped);
}

static void accept_ready(struct agent_source *source, uint32_t events)
{
	struct agent_listener *listener =
		agent_container(source, struct agent_listener, source);
	struct agent *agent = listener->agent;
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	cleanup_close int fd = -1;
	unsigned int skipped;
	int ret;

	(void)events;
	fd = accept4(source->fd, (struct sockaddr *)&peer, &len,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(listener, errno);
		return;
	}
	if (listener->address->kind == AGENT_ADDRESS_VSOCK &&
	    !agent_peer_is_host(&peer, len)) {
		log_refused(listener, &peer);
		return;
	}
	if (agent->n_sessions >= AGENT_SESSIONS_MAX) {
		if (agent_log_permit(&listener->full, &skipped))
			agent_log(AGENT_LOG_WARNING,
				  "refused a connection: %d are open already (%u more "
				  "since the last such line)",
				  AGENT_SESSIONS_MAX, skipped);
		return;
	}
	ret = agent_session_create(agent, fd);
	if (ret < 0)
		pause_accepting(listener, -ret);
	else
		steal_fd(&fd);
}

static int try_listen(struct agent_listener *listener, struct error *err)
{
	const struct agent_address *address = listener->address;
	struct agent_loop *loop = &listener->agent->loop;
	bool is_unix = address->kind == AGENT_ADDRESS_UNIX;
	int ret;

	ret = is_unix ? listen_unix(address, err) : listen_vsock(address, err);
	if (ret < 0 && !is_unix && may_pass(ret)) {
		if (!listener->said_waiting)
			agent_log(AGENT_LOG_WARNING,
				  "%s; waiting for the vsock modules to be loaded",
				  err->text);
		listener->said_waiting = true;
		agent_manager_status("waiting for the vsock modules to be loaded");
		agent_loop_arm(loop, &listener->retry, deadline_after_ms(RETRY_MS));
		return 0;
	}
	if (ret < 0)
		return ret;
	listener->source.fd = ret;
	listener->bound_unix = is_unix;
	ret = agent_loop_add(loop, &listener->source, EPOLLIN);
	if (ret < 0)
		return error_set(err, ret, "epoll_ctl: %s", strerror(-ret));
	if (is_unix)
		agent_manager_status("listens on %s", address->path);
	else
		agent_manager_status("listens on vsock port %u", address->port);
	if (is_unix)
		agent_log(AGENT_LOG_INFO, "version %s listens on %s", VMCTL_VERSION,
			  address->path);
	else
		agent_log(AGENT_LOG_INFO, "version %s listens on vsock port %u",
			  VMCTL_VERSION, address->port);
	return 0;
}

static void retry_fired(struct agent_timer *timer)
{
	struct agent_listener *listener =
		agent_container(timer, struct agent_listener, retry);

	if (listener->source.fd >= 0) {
		agent_loop_watch(&listener->agent->loop, &listener->source, EPOLLIN);
	} else if (try_listen(listener, &listener->error) < 0) {
		listener->failed = true;
		agent_loop_stop(&listener->agent->loop);
	}
}

void agent_listener_init(struct agent_listener *listener, struct agent *agent,
			 const struct agent_address *address)
{
	*listener = (struct agent_listener){
		.agent = agent,
		.address = address,
		.source = {.fd = -1, .ready = accept_ready},
		.retry = {.fire = retry_fired},
	};
}

int agent_listener_start(struct agent_listener *listener, struct error *err)
{
	return try_listen(listener, err);
}

void agent_listener_stop(struct agent_listener *listener)
{
	agent_loop_disarm(&listener->agent->loop, &listener->retry);
	if (listener->source.fd < 0)
		return;
	agent_loop_remove(&listener->agent->loop, &listener->source);
	close(listener->source.fd);
	listener->source.fd = -1;
	if (listener->bound_unix)
		unlink(listener->address->path);
}
