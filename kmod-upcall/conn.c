// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may touch a connection: its io work, which never runs twice at the same time,
 * reads, writes and ends it, except in CONN_WORKING, when the request work has it.
 * Whoever wants something of a connection (the socket's callbacks, the request work
 * when it is done, conn_exit()) queues the io work. The timer is the io work's own
 * delay. The io work frees the connection, once none of these can queue it again.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>
#include <net/af_vsock.h>
#include <net/sock.h>

#include "conn.h"
#include "devmgr.h"
#include "message.h"

enum conn_state {
	CONN_SERVICE, /* waits for the service byte */
	CONN_RECEIVE, /* waits for a request, or has a part of one */
	CONN_WORKING, /* the request work has the request */
	CONN_SEND,    /* sends a CONNECT message or a reply */
};

struct conn {
	struct list_head entry; /* of conns.list */
	struct socket *sock;
	enum conn_state state;
	struct delayed_work io;
	struct work_struct work;
	unsigned int done;	/* bytes of the message received or sent */
	bool cut;		/* its request hung, and it was told so */
	bool timed;		/* whether the deadline counts */
	unsigned long deadline; /* in jiffies */
	/* The socket's own callbacks, while ours stand in. */
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*error_report)(struct sock *sk);
	union message request;
	union message reply;
};

unsigned int conn_timeout_ms = 10000;
unsigned int conn_request_timeout_ms = 300000;
unsigned int conn_max = 64;

static struct {
	struct workqueue_struct *io;	   /* any number at a time */
	struct workqueue_struct *requests; /* ordered */
	struct mutex lock;		   /* of the list */
	struct list_head list;
	atomic_t count; /* connections allocated; 0 wakes conn_exit() */
	bool stopping;
} conns = {
	.lock = __MUTEX_INITIALIZER(conns.lock),
	.list = LIST_HEAD_INIT(conns.list),
};

/* The request at work. */
static struct {
	spinlock_t lock;
	const struct conn *conn; /* whose it is, NULL: none */
	unsigned long began;	 /* in jiffies */
} turn = {.lock = __SPIN_LOCK_UNLOCKED(turn.lock)};

/*
 * All four callbacks. They come from the transport's receive work with the socket
 * locked, except for error_report, which tells of a transport reset and comes under
 * vsock_table_lock only (virtio_vsock_reset_sock()).
 */
static void wake(struct sock *sk)
{
	struct conn *conn;

	read_lock_bh(&sk->sk_callback_lock);
	conn = sk->sk_user_data;
	if (conn)
		mod_delayed_work(conns.io, &conn->io, 0);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void attach(struct conn *conn)
{
	struct sock *sk = conn->sock->sk;

	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	conn->data_ready = sk->sk_data_ready;
	conn->state_change = sk->sk_state_change;
	conn->write_space = sk->sk_write_space;
	conn->error_report = sk->sk_error_report;
	sk->sk_user_data = conn;
	sk->sk_data_ready = wake;
	sk->sk_state_change = wake;
	sk->sk_write_space = wake;
	sk->sk_error_report = wake;
	/* What has arrived until now came without a callback of ours. */
	mod_delayed_work(conns.io, &conn->io, 0);
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

/*
 * After this, no callback is in the middle of using the connection, and none will
 * find it. One may still be at the door of wake(), see conn_exit().
 */
static void detach(struct conn *conn)
{
	struct sock *sk = conn->sock->sk;

	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = conn->data_ready;
	sk->sk_state_change = conn->state_change;
	sk->sk_write_space = conn->write_space;
	sk->sk_error_report = conn->error_report;
	sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

static void start_clock(struct conn *conn)
{
	unsigned int ms = READ_ONCE(conn_timeout_ms);

	conn->timed = ms != 0;
	conn->deadline = jiffies + msecs_to_jiffies(ms);
}

/* Lets the io work send conn->reply. */
static void begin_send(struct conn *conn)
{
	conn->done = 0;
	start_clock(conn);
	/* Pairs with the io work's acquire: this may be the request work. */
	smp_store_release(&conn->state, CONN_SEND);
}

/*
 * The steps below return 1 to be followed by the next state's step, 0 to wait for
 * the socket, or a negative errno to close.
 */

static int receive(struct conn *conn, void *buffer, size_t size)
{
	struct kvec vec = {.iov_base = buffer, .iov_len = size};
	struct msghdr msg = {};
	int ret;

	ret = kernel_recvmsg(conn->sock, &msg, &vec, 1, size, MSG_DONTWAIT);
	if (ret == -EAGAIN)
		return 0;
	return ret ? ret : -ENOTCONN;
}

static int receive_service(struct conn *conn)
{
	u8 service;
	int ret;

	ret = receive(conn, &service, sizeof(service));
	if (ret <= 0)
		return ret;
	if (service != UPCALL_SERVICE_DEVMGR) {
		pr_warn_ratelimited(
			"closed a connection that asked for service %#04x\n", service);
		return -EPROTO;
	}
	devmgr_connect(&conn->reply);
	begin_send(conn);
	return 1;
}

static int receive_request(struct conn *conn)
{
	int ret;

	ret = receive(conn, conn->request.bytes + conn->done,
		      sizeof(conn->request) - conn->done);
	if (ret < 0 && conn->done)
		pr_warn_ratelimited(
			"a client left after %u of %zu bytes of a request\n",
			conn->done, sizeof(conn->request));
	if (ret <= 0)
		return ret;

	if (conn->done == 0)
		start_clock(conn);
	conn->done += ret;
	if (conn->done == sizeof(conn->request)) {
		conn->timed = false;
		conn->state = CONN_WORKING;
		queue_work(conns.requests, &conn->work);
	}
	return 1;
}

static int send_reply(struct conn *conn)
{
	struct kvec vec = {
		.iov_base = conn->reply.bytes + conn->done,
		.iov_len = sizeof(conn->reply) - conn->done,
	};
	struct msghdr msg = {.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL};
	int ret;

	ret = kernel_sendmsg(conn->sock, &msg, &vec, 1, vec.iov_len);
	if (ret == -EAGAIN)
		return 0;
	if (ret < 0)
		return ret;
	conn->done += ret;
	if (conn->done == sizeof(conn->reply)) {
		conn->done = 0;
		conn->timed = false;
		conn->state = CONN_RECEIVE;
	}
	return 1;
}

/* The client has closed both ways, or just does not take a reply any more. */
static bool client_gone(const struct conn *conn)
{
	struct sock *sk = conn->sock->sk;

	return READ_ONCE(sk->sk_state) != TCP_ESTABLISHED ||
	       READ_ONCE(vsock_sk(sk)->peer_shutdown) & RCV_SHUTDOWN;
}

static void begin_turn(const struct conn *conn)
{
	spin_lock(&turn.lock);
	turn.conn = conn;
	turn.began = jiffies;
	spin_unlock(&turn.lock);
}

/*
 * How many jiffies are left until the request at work hangs, 0: it does;
 * MAX_SCHEDULE_TIMEOUT: it may take any time. Most of the kernel's calls that plug and
 * unplug wait for a driver, and a driver for its device, without a limit.
 */
static long until_hung(const struct conn **who)
{
	unsigned int ms = READ_ONCE(conn_request_timeout_ms);
	long left = ms ? msecs_to_jiffies(ms) : MAX_SCHEDULE_TIMEOUT;

	spin_lock(&turn.lock);
	*who = turn.conn;
	if (turn.conn && ms)
		left = max(left - (long)(jiffies - turn.began), 0L);
	spin_unlock(&turn.lock);
	return left;
}

static void request_work(struct work_struct *work)
{
	struct conn *conn = container_of(work, struct conn, work);
	const char *refusal = NULL;

	/*
	 * A request may have waited long for its turn. What nobody waits for is not
	 * begun: a client that gave up has undone its half of the job.
	 */
	if (READ_ONCE(conns.stopping))
		refusal = "the module is being unloaded";
	else if (client_gone(conn))
		refusal = "the client left before its turn";

	if (refusal) {
		pr_warn_ratelimited("dropped a request: %s\n", refusal);
		devmgr_refuse(&conn->request, &conn->reply, -ECANCELED, refusal);
	} else {
		begin_turn(conn);
		devmgr_handle(&conn->request, &conn->reply);
		begin_turn(NULL);
	}
	begin_send(conn);
	mod_delayed_work(conns.io, &conn->io, 0);
}

/* Runs in the io work, which must not touch the connection again. */
static void close_conn(struct conn *conn)
{
	detach(conn);
	/* It is done with the request, but perhaps not yet with queueing us. */
	flush_work(&conn->work);
	mutex_lock(&conns.lock);
	list_del(&conn->entry);
	mutex_unlock(&conns.lock);
	/* Nobody is left to queue this work again; it may be queued still. */
	cancel_delayed_work(&conn->io);

	sock_release(conn->sock);
	kfree(conn);
	if (atomic_dec_and_test(&conns.count))
		wake_up_var(&conns.count);
}

/*
 * In CONN_WORKING: looks again when the request at work has hung. Then those that wait
 * for their turn are refused; its own client, who has no use for a reply that somebody
 * else writes, loses the connection. Returns whether there is a reply to send.
 */
static bool wait_for_turn(struct conn *conn)
{
	unsigned int seconds = READ_ONCE(conn_request_timeout_ms) / 1000;
	const struct conn *who;
	long left = until_hung(&who);
	char text[80];

	if (left == MAX_SCHEDULE_TIMEOUT || conn->cut)
		return false;
	if (left) {
		queue_delayed_work(conns.io, &conn->io, left);
		return false;
	}
	if (who == conn) {
		pr_warn("a request has not ended in %u s: closed its connection\n",
			seconds);
		conn->cut = true;
		kernel_sock_shutdown(conn->sock, SHUT_RDWR);
		return false;
	}
	if (!cancel_work(&conn->work)) { /* it is at work by now, or done */
		queue_delayed_work(conns.io, &conn->io, HZ);
		return false;
	}
	scnprintf(text, sizeof(text), "another request has not ended in %u s", seconds);
	devmgr_refuse(&conn->request, &conn->reply, -EBUSY, text);
	begin_send(conn);
	return true;
}

static bool expired(const struct conn *conn)
{
	return conn->timed && time_after_eq(jiffies, conn->deadline);
}

static int step(struct conn *conn, enum conn_state state)
{
	if (expired(conn)) {
		pr_warn_ratelimited(
			"closed a connection that stood still in the middle "
			"of a message\n");
		return -ETIMEDOUT;
	}
	/* A reply that is ready goes out even then, if it can. */
	if (READ_ONCE(conns.stopping) && state != CONN_SEND)
		return -ESHUTDOWN;

	switch (state) {
	case CONN_SERVICE:
		return receive_service(conn);
	case CONN_RECEIVE:
		return receive_request(conn);
	case CONN_SEND:
		return send_reply(conn);
	case CONN_WORKING:
		break;
	}
	return -EINVAL;
}

static void io_work(struct work_struct *work)
{
	struct conn *conn = container_of(to_delayed_work(work), struct conn, io);
	enum conn_state state;
	unsigned long now;
	int ret;

	do {
		/* Pairs with begin_send(): with the state comes the reply. */
		state = smp_load_acquire(&conn->state);
		if (state == CONN_WORKING && !wait_for_turn(conn))
			return;
		ret = state == CONN_WORKING ? 1 : step(conn, state);
	} while (ret > 0);

	if (ret < 0 || READ_ONCE(conns.stopping)) {
		close_conn(conn);
		return;
	}
	if (conn->timed) {
		now = jiffies;
		queue_delayed_work(
			conns.io, &conn->io,
			time_before(now, conn->deadline) ? conn->deadline - now : 0);
	}
}

unsigned int conn_count(void)
{
	return atomic_read(&conns.count);
}

static bool full(void)
{
	return conn_count() >= READ_ONCE(conn_max);
}

int conn_open(struct socket *sock)
{
	struct conn *conn;

	/* Those whose client has left, but whose work has yet to run, do not count. */
	if (full())
		flush_workqueue(conns.io);
	if (full()) {
		pr_warn_ratelimited("closed a connection: there are %u already\n",
				    atomic_read(&conns.count));
		return -EMFILE;
	}
	conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	if (!conn)
		return -ENOMEM;
	conn->sock = sock;
	conn->state = CONN_SERVICE;
	INIT_DELAYED_WORK(&conn->io, io_work);
	INIT_WORK(&conn->work, request_work);
	start_clock(conn);

	atomic_inc(&conns.count);
	mutex_lock(&conns.lock);
	list_add_tail(&conn->entry, &conns.list);
	mutex_unlock(&conns.lock);
	attach(conn);
	return 0;
}

int conn_init(void)
{
	conns.io = alloc_workqueue("upcall_io", WQ_UNBOUND, 0);
	if (!conns.io)
		return -ENOMEM;
	conns.requests = alloc_ordered_workqueue("upcall_request", 0);
	if (!conns.requests) {
		destroy_workqueue(conns.io);
		return -ENOMEM;
	}
	return 0;
}

void conn_exit(void)
{
	struct conn *conn;

	mutex_lock(&conns.lock);
	WRITE_ONCE(conns.stopping, true);
	/* The list keeps them alive: close_conn() needs the lock to free one. */
	list_for_each_entry (conn, &conns.list, entry)
		mod_delayed_work(conns.io, &conn->io, 0);
	mutex_unlock(&conns.lock);
	wait_var_event(&conns.count, atomic_read(&conns.count) == 0);

	/* The last of the works may still be on their way out. */
	destroy_workqueue(conns.requests);
	destroy_workqueue(conns.io);
	/*
	 * So may wake(), when it was called through a pointer read before detach()
	 * put the old one back. With the socket locked that cannot be; error_report
	 * is called under a spinlock, which is an RCU read-side section as well.
	 */
	synchronize_rcu();
}
