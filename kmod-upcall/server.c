// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/vm_sockets.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "compat.h"
#include "conn.h"
#include "server.h"
#include "upcall_wire.h"

/*
 * Any process of the guest may connect, over loopback, and is closed only when it is
 * accepted; the kernel refuses what the queue has no room for, the host's too. So the
 * queue is long and what empties it comes before other work.
 */
#define BACKLOG 4096

/* Connections accepted in one run of the work, so that it always comes to an end. */
#define ACCEPT_BATCH 32

/* Before accept is tried again, when it failed for another reason than "none". */
#define ACCEPT_RETRY HZ

/* The host gives ports below it to privileged programs only (LAST_RESERVED_PORT). */
#define FIRST_UNPRIVILEGED_PORT 1024

unsigned int server_port = UPCALL_PORT;
bool server_privileged_only;

static void accept_work(struct work_struct *work);

static struct socket *listener;
static struct workqueue_struct *acceptor;
static DECLARE_DELAYED_WORK(accepting, accept_work);
static void (*listener_data_ready)(struct sock *sk);

/* A connection waits. Called with the listener locked. */
static void data_ready(struct sock *sk)
{
	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_user_data)
		mod_delayed_work(acceptor, &accepting, 0);
	read_unlock_bh(&sk->sk_callback_lock);
}

/*
 * The host's CID is 2, and only the host's packets can carry it: over the loopback
 * transport everybody has CID 1, a sibling has its own. Whoever else got in could
 * plug hardware, any process of the guest for one.
 */
static int check_peer(struct socket *sock)
{
	struct sockaddr_vm peer = {};
	int ret;

	ret = kernel_getpeername(sock, (struct sockaddr *)&peer);
	if (ret < 0)
		return ret;
	if (peer.svm_family == AF_VSOCK && peer.svm_cid == VMADDR_CID_HOST) {
		if (!READ_ONCE(server_privileged_only) ||
		    peer.svm_port < FIRST_UNPRIVILEGED_PORT)
			return 0;
		pr_warn_ratelimited("closed a connection from the host's port %u: "
				    "require_privileged_peer wants one below %u\n",
				    peer.svm_port, FIRST_UNPRIVILEGED_PORT);
		return -EACCES;
	}
	pr_warn_ratelimited(
		"closed a connection from CID %u port %u: only the host may "
		"connect\n",
		peer.svm_cid, peer.svm_port);
	return -EACCES;
}

/* 0 when a connection was accepted, no matter whether it could stay. */
static int accept_one(void)
{
	struct socket *sock;
	int ret;

	/* This takes the reference to the protocol's module; sock_release() puts it. */
	ret = kernel_accept(listener, &sock, O_NONBLOCK);
	if (ret < 0)
		return ret;
	ret = check_peer(sock);
	if (!ret)
		ret = conn_open(sock);
	if (ret)
		sock_release(sock);
	return 0;
}

static void accept_work(struct work_struct *work)
{
	unsigned long delay = 0;
	int ret = 0, i;

	for (i = 0; i < ACCEPT_BATCH && !ret; i++)
		ret = accept_one();
	if (ret == -EAGAIN)
		return;
	if (ret) {
		pr_warn_ratelimited("accept failed with %pe, trying again\n",
				    ERR_PTR(ret));
		delay = ACCEPT_RETRY;
	}
	queue_delayed_work(acceptor, &accepting, delay);
}

static void attach(void)
{
	struct sock *sk = listener->sk;

	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	listener_data_ready = sk->sk_data_ready;
	sk->sk_data_ready = data_ready;
	sk->sk_user_data = &accepting;
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

/* With the socket locked, data_ready() is neither running nor about to. */
static void detach(void)
{
	struct sock *sk = listener->sk;

	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = listener_data_ready;
	sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

static int listen_on(const struct sockaddr_vm *address)
{
	int ret = kernel_bind(listener, (struct sockaddr_unsized *)address,
			      sizeof(*address));

	if (ret) {
		pr_err("cannot have vsock port %u: %pe\n", server_port, ERR_PTR(ret));
		return ret;
	}
	attach();
	ret = kernel_listen(listener, BACKLOG);
	if (ret) {
		pr_err("cannot listen on vsock port %u: %pe\n", server_port,
		       ERR_PTR(ret));
		detach();
	}
	return ret;
}

int server_start(void)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = server_port,
	};
	int ret;

	acceptor = alloc_workqueue("upcall_accept", WQ_UNBOUND | WQ_HIGHPRI, 1);
	if (!acceptor)
		return -ENOMEM;
	ret = sock_create_kern(&init_net, AF_VSOCK, SOCK_STREAM, 0, &listener);
	if (ret) {
		pr_err("no AF_VSOCK socket: %pe; is the module vsock there?\n",
		       ERR_PTR(ret));
		goto destroy;
	}
	ret = listen_on(&address);
	if (!ret)
		return 0;
	sock_release(listener);
destroy:
	destroy_workqueue(acceptor);
	return ret;
}

void server_stop(void)
{
	detach();
	cancel_delayed_work_sync(&accepting);
	sock_release(listener);
	destroy_workqueue(acceptor);
}
