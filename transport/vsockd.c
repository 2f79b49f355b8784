/* SPDX-License-Identifier: Apache-2.0 */
#include "vsockd.h"

#include <errno.h>
#include <malloc.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"
#include "device.h"
#include "door.h"
#include "listener.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "sandbox.h"
#include "sandbox_calls.h"
#include "store.h"

SANDBOX_CALLS("read", "write", "close", "exit_group");

#define STATE_NAME "state"

enum {
	/* Beside connections: what a front-end brings along, and our own. */
	FILES_BESIDE = 80,
};

struct vsockd {
	struct loop loop;
	int signal_fd;
	struct listener front;
	struct doors doors;
	struct control control;
	struct routes routes;
	bool stop;
	bool leave; /* everything, to the next process */
	struct state state;
	struct sandbox sandbox;
	char any_peer[PATH_MAX]; /* stands for all in --peers */
	uint32_t busy_poll;	 /* µs */
	uint64_t worked_at; /* loop_now_us() of the last turn with something to do */
	struct device device;
};

static void on_signal(struct vsockd *d, const struct loop_event *ev)
{
	struct signalfd_siginfo info;

	(void)ev;
	if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("signal %u: ending", info.ssi_signo);
	/* SIGHUP is the holder's way to say that another one is about to go on. */
	d->leave = info.ssi_signo == SIGHUP || !(notify_is_held() || !notify_is_on());
	d->stop = true;
}

static void on_front_listener(struct vsockd *d, const struct loop_event *ev)
{
	int fd = listener_accept(&d->front);

	(void)ev;
	if (fd < 0)
		return;
	/* The one before it may have gone just now. */
	device_on_front(&d->device, 0);
	if (device_is_attached(&d->device)) {
		log_limited(
			LOG_LEVEL_WARNING,
			"a second front-end is turned away: one virtual machine uses "
			"this device");
		close(fd);
		return;
	}
	fd = device_attach(&d->device, fd);
	if (fd < 0)
		log_error("cannot watch the front-end: %s", strerror(-fd));
}

static void on_front(struct vsockd *d, const struct loop_event *ev)
{
	device_on_front(&d->device, ev->events);
}

static void on_kick(struct vsockd *d, const struct loop_event *ev)
{
	device_on_kick(&d->device, ev->id, ev->events);
}

static void on_door(struct vsockd *d, const struct loop_event *ev)
{
	doors_accept(&d->doors, ev->id, &d->device);
}

static void on_conn(struct vsockd *d, const struct loop_event *ev)
{
	device_on_conn(&d->device, ev->id, ev->events);
}

static void on_control(struct vsockd *d, const struct loop_event *ev)
{
	(void)ev;
	control_accept(&d->control, &d->device);
}

static void on_control_client(struct vsockd *d, const struct loop_event *ev)
{
	control_on_client(&d->control, ev->id, &d->device);
}

static void (*const handlers[LOOP_TYPES])(struct vsockd *,
					  const struct loop_event *) = {
	[LOOP_SIGNAL] = on_signal,   [LOOP_FRONT_LISTENER] = on_front_listener,
	[LOOP_FRONT] = on_front,     [LOOP_KICK] = on_kick,
	[LOOP_DOOR] = on_door,	     [LOOP_CONN] = on_conn,
	[LOOP_CONTROL] = on_control, [LOOP_CONTROL_CLIENT] = on_control_client,
};

/*
 * Raises the limit of open files. Returns how many connections that leaves room for: it
 * is not the front-end, whose messages bring descriptors, that is to run short of them.
 */
static uint32_t make_room(const struct vsockd_options *options)
{
	/* A listener has a descriptor to spare. */
	rlim_t beside = FILES_BESIDE + 2 * options->listen.count * MAP_ADDRESSES_MAX;
	uint32_t connections = options->limits.max_connections;
	rlim_t wanted = connections + beside;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return connections;
	/* Root may raise the upper limit too. */
	if (limit.rlim_max < wanted &&
	    setrlimit(RLIMIT_NOFILE, &(struct rlimit){wanted, wanted}) == 0)
		return connections;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted)
		return connections;
	connections = limit.rlim_cur > beside ? (uint32_t)(limit.rlim_cur - beside) : 1;
	log_warning("only %llu files may be open, %llu are needed for %u connections: "
		    "there will be %u at most",
		    (unsigned long long)limit.rlim_cur, (unsigned long long)wanted,
		    options->limits.max_connections, connections);
	return connections;
}

/* A front-end that shrinks the memory that it shares leaves nothing to go on with. */
static void on_sigbus(int signo)
{
	static const char text[] =
		"vsockd: error: the guest's memory was taken away; ending\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	_exit(signo == SIGBUS ? 1 : 2);
}

static int open_signals(struct vsockd *d, struct error *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction bus = {.sa_handler = on_sigbus};
	sigset_t set;

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGBUS, &bus, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (notify_is_held())
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signal_fd < 0)
		return error_set(err, -errno, "cannot make a signalfd: %s",
				 strerror(errno));
	return 0;
}

static int watch(struct vsockd *d, int fd, enum loop_type type, struct error *err)
{
	int ret = loop_add(&d->loop, fd, EPOLLIN, type, 0);

	if (ret < 0)
		return error_set(err, ret, "cannot watch a descriptor: %s",
				 strerror(-ret));
	return 0;
}

/* The state of the process before this one, or an empty one. */
static int open_state(struct vsockd *d, const struct vsockd_options *options,
		      struct error *err)
{
	/* Those that are to be reset yet are there beside the new ones. */
	uint32_t conns = options->limits.max_connections * 2;
	int fd = store_take(STATE_NAME), ret;

	if (fd >= 0) {
		ret = state_open(&d->state, fd, conns, err);
		if (ret == 0)
			return 0;
		log_error("%s: beginning anew, the front-end is disconnected",
			  err->text);
		store_drop(STATE_NAME);
	}
	ret = state_create(&d->state, conns, err);
	if (ret == 0 && !store_put(STATE_NAME, d->state.fd))
		log_warning("a front-end will not survive this process");
	return ret;
}

static int take_place(struct vsockd *d, const struct vsockd_options *options,
		      struct error *err)
{
	int ret = open_state(d, options, err);

	if (ret < 0)
		return ret;
	ret = device_keep(&d->device, &d->state);
	if (ret < 0)
		return error_set(err, ret, "out of memory");
	store_drop_rest(KEEPER_PREFIX);
	store_close_rest();
	return 0;
}

static int begin(struct vsockd *d, const struct vsockd_options *options,
		 struct error *err)
{
	int ret = target_check(&d->routes, err);

	if (ret < 0)
		return ret;
	ret = open_signals(d, err);
	if (ret < 0)
		return ret;
	ret = doors_open(&d->doors, &d->routes, &options->listen, &d->loop, err);
	if (ret < 0)
		return ret;
	ret = listener_open(&d->front, options->vhost_user, err);
	if (ret < 0)
		return ret;
	ret = control_open(&d->control, options->control, &d->loop, err);
	if (ret < 0)
		return ret;
	ret = watch(d, d->signal_fd, LOOP_SIGNAL, err);
	if (ret == 0)
		ret = listener_watch(&d->front, &d->loop, LOOP_FRONT_LISTENER, 0, err);
	if (ret == 0)
		ret = take_place(d, options, err);
	if (ret == 0)
		ret = sandbox_seal(&d->sandbox, err);
	/* What the filter was made of stays with the allocator else. */
	malloc_trim(0);
	return ret;
}

static int timeout_of(const struct vsockd *d, bool more)
{
	/* However busy: the manager is to hear that this process lives. */
	int watchdog = notify_watchdog(d->device.now);
	const int least[] = {
		watchdog,
		listener_timeout(&d->front),
		doors_timeout(&d->doors),
		control_timeout(&d->control, d->device.now),
		device_timeout(&d->device),
	};
	int first = -1;

	if (more)
		return 0;
	for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++)
		first = loop_sooner(first, least[i]);
	return first;
}

/*
 * Whether to look again at once, although there was nothing more to do: it is not
 * long since there was.
 */
static bool spins(struct vsockd *d, int events)
{
	uint64_t now;

	if (!d->busy_poll)
		return false;
	now = loop_now_us();
	if (events || d->device.worked)
		d->worked_at = now;
	d->device.worked = false;
	return now - d->worked_at < d->busy_poll;
}

static int serve(struct vsockd *d, struct error *err)
{
	struct loop_event events[LOOP_EVENTS_MAX];
	bool more = true; /* what the process before this one left undone */
	int ret;

	while (!d->stop) {
		int n = loop_wait(&d->loop, events, timeout_of(d, more));

		if (n < 0)
			return error_set(err, n, "cannot wait for events: %s",
					 strerror(-n));
		device_tick(&d->device);
		for (int i = 0; i < n; i++) {
			if (events[i].type < LOOP_TYPES && handlers[events[i].type])
				handlers[events[i].type](d, &events[i]);
		}
		control_run(&d->control, d->device.now);
		ret = listener_run(&d->front, err);
		if (ret == 0)
			ret = doors_run(&d->doors, err);
		if (ret < 0)
			return ret;
		more = device_run(&d->device) || spins(d, n) || device_arm(&d->device);
	}
	return 0;
}

static void leave(struct vsockd *d)
{
	log_info("the front-end is left to the next process");
	device_leave(&d->device);
	listener_leave(&d->front);
	doors_leave(&d->doors);
	control_leave(&d->control);
}

static void show_map(struct sandbox *sandbox, const struct map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct address *address = &map->address[i];

		if (address->of.any.sa_family != AF_UNIX)
			sandbox->network = true;
		else if (sandbox->paths < SANDBOX_PATHS_MAX)
			sandbox->path[sandbox->paths++] =
				address->of.unix_path.sun_path;
	}
}

/* The files and networks that the options name. */
static void open_sandbox(struct vsockd *d, const struct vsockd_options *options)
{
	struct sandbox *sandbox = &d->sandbox;
	const struct maps *maps[] = {&options->listen, &options->connect};

	*sandbox = (struct sandbox){
		.mode = options->sandbox,
		.user = options->user,
		.network = options->forward_cid,
		.path = {options->vhost_user, options->uds},
		.paths = 2,
	};
	snprintf(d->any_peer, sizeof(d->any_peer), "%s/any",
		 options->peers ? options->peers : "");
	if (options->peers)
		sandbox->path[sandbox->paths++] = d->any_peer;
	if (options->control)
		sandbox->path[sandbox->paths++] = options->control;
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < maps[i]->count; j++)
			show_map(sandbox, &maps[i]->map[j]);
	}
}

int vsockd_run(const struct vsockd_options *options, struct error *err)
{
	struct vsockd *d = calloc(1, sizeof(*d));
	struct limits limits = options->limits;
	int ret;

	if (!d)
		return error_set(err, -ENOMEM, "out of memory");
	d->signal_fd = -1;
	d->front.fd = -1;
	d->state.fd = -1;
	control_init(&d->control);
	d->routes = (struct routes){
		.guest_cid = options->cid,
		.uds = options->uds,
		.peers = options->peers,
		.connect = options->connect,
		.forward_cid = options->forward_cid,
	};
	d->busy_poll = options->busy_poll;
	limits.max_connections = make_room(options);
	store_init();
	open_sandbox(d, options);
	ret = notify_init(err);
	if (ret == 0)
		ret = sandbox_confine(&d->sandbox, err);
	if (ret < 0) {
		free(d);
		return ret;
	}
	ret = loop_init(&d->loop);
	if (ret < 0) {
		free(d);
		return error_set(err, ret, "cannot make an epoll: %s", strerror(-ret));
	}
	ret = device_init(&d->device, &d->routes, options->privileged_group, &limits,
			  &d->loop);
	if (ret < 0)
		error_set(err, ret, "out of memory for %u connections",
			  limits.max_connections);
	else
		ret = begin(d, options, err);
	if (ret == 0) {
		log_info("ready: front-end at %s, host programs at %s",
			 options->vhost_user, options->uds);
		notify_send("READY=1\nSTATUS=Serving", -1);
		ret = serve(d, err);
		/* After an error the next one may have more luck. */
		if (notify_is_on() && (ret < 0 || d->leave))
			leave(d);
	}
	device_free(&d->device);
	state_close(&d->state);
	listener_close(&d->front);
	doors_close(&d->doors);
	control_close(&d->control);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	loop_free(&d->loop);
	free(d);
	return ret;
}
