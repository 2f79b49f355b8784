/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM made of threads: a QEMU behind qmp.sock, and a guest with module and agent
 * behind vsock.sock, in a registry of its own. It keeps the state that the real
 * ones would, logs what it was asked to change, and misbehaves as it is told.
 */
#ifndef FAKE_VM_H
#define FAKE_VM_H

#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ttrpc.h"
#include "ttrpc.pb-c.h"
#include "unit.h"
#include "upcall_wire.h"
#include "vmctl/agent/v1/agent.pb-c.h"

#define FAKE_SLOTS 4
/* Who retries for seconds makes many. */
#define FAKE_CONNECTIONS 1024

struct fake_vm {
	/* How it misbehaves; set before fake_start(). */
	bool no_qmp, no_vsock, no_module, no_agent;
	bool paused;		 /* says QEMU; set no_agent with it */
	bool no_extensions;	 /* as Dragonball's guest kernel */
	int add_ret, del_ret;	 /* what ADD_CPU and DEL_CPU* answer */
	bool mute_add;		 /* ADD_CPU is read and never answered */
	bool hold_add;		 /* answered only after the next device_del */
	int late_del_ms;	 /* DEL_CPU2 is answered so much later */
	bool drop_add, drop_del; /* done, and the connection closed unanswered */
	bool swallow_add;	 /* device_add says yes and does nothing */
	int refuse_add;		 /* device_add of this APIC id is refused */
	bool interrupt_add;	 /* device_add also sends us SIGINT */
	bool interrupt_del;	 /* likewise DEL_CPU and DEL_CPU2 */
	bool quit_add, quit_del; /* device_add or device_del ends QMP, unanswered */
	bool wants_device_del;	 /* ejecting frees a vCPU only after device_del */
	bool keeps;		 /* ejecting frees nothing */
	bool stays_offline;	 /* OnlineCpus does nothing */
	bool blind;		 /* the agent sees the boot CPU only */
	bool babble;		 /* the agent answers with garbage */
	bool mute_agent;	 /* the agent takes calls, and answers none */
	uint32_t features;	 /* UPCALL_FEATURE_* beyond those of CPUs */
	/* What a test adds (fake_devices.h): each returns whether it knew it. */
	bool (*command)(struct fake_vm *vm, const char *name, const json_t *arguments,
			json_t **value);
	bool (*request)(struct fake_vm *vm, int fd, uint32_t type, const uint8_t *in,
			bool *stay);
	/* Answers a call of the agent. */
	bool (*call)(struct fake_vm *vm, int fd, uint32_t stream,
		     const Ttrpc__Request *request, bool *stay);
	/* What listens on ports other than 219 and 220; NULL: nothing. */
	void (*port)(struct fake_vm *vm, int fd, unsigned int port);
	void *more;
	int drop_calls; /* so many of the agent's calls end their connection, unanswered
			 */
	int drop_after; /* ... once so many were answered */
	int refuse_dials; /* so many connections to the agent are refused at first */

	/* Its state: by APIC id, which is also the guest's CPU number. */
	bool plugged[FAKE_SLOTS], asked_back[FAKE_SLOTS];
	bool present[FAKE_SLOTS], online[FAKE_SLOTS];
	char log[2048];
	const char *why; /* what an error says; NULL: the usual words */

	char root[40], dir[64];
	pthread_mutex_t lock;
	bool stopping;
	int listener[2];
	int fd[FAKE_CONNECTIONS];
	pthread_t thread[FAKE_CONNECTIONS];
	size_t connections;
	pthread_t acceptor[2];
};

static void fake_log(struct fake_vm *vm, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void fake_log(struct fake_vm *vm, const char *fmt, ...)
{
	size_t used = strlen(vm->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(vm->log + used, sizeof(vm->log) - used, fmt, ap);
	va_end(ap);
}

static bool fake_send(int fd, const void *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* --- QEMU --- */

static json_t *fake_slots(const struct fake_vm *vm)
{
	json_t *list = json_array();
	char path[64];
	int i;

	for (i = FAKE_SLOTS - 1; i >= 0; i--) {
		json_t *slot = json_pack("{s:s, s:i, s:{s:i, s:i, s:i}}", "type",
					 "max-x86_64-cpu", "vcpus-count", 1, "props",
					 "socket-id", i, "core-id", 0, "thread-id", 0);

		snprintf(path, sizeof(path), "/machine/peripheral/vmctl-cpu%d", i);
		if (vm->plugged[i])
			json_object_set_new(slot, "qom-path", json_string(path));
		json_array_append_new(list, slot);
	}
	return list;
}

/* The APIC id at the end of a device's id or path; -1 when there is none such. */
static int fake_find(const struct fake_vm *vm, const char *name)
{
	int i = name && *name ? name[strlen(name) - 1] - '0' : -1;

	return i >= 0 && i < FAKE_SLOTS && vm->plugged[i] ? i : -1;
}

static json_t *fake_device_add(struct fake_vm *vm, const json_t *arguments)
{
	int i = (int)json_integer_value(json_object_get(arguments, "socket-id"));

	fake_log(vm, "device_add %d;", i);
	if (vm->interrupt_add)
		kill(getpid(), SIGINT);
	if (i < 0 || i >= FAKE_SLOTS || vm->plugged[i] || i == vm->refuse_add)
		return NULL;
	vm->plugged[i] = !vm->swallow_add;
	return json_object();
}

/* The return value of a command, NULL for an error. */
static json_t *fake_command(struct fake_vm *vm, const char *name,
			    const json_t *arguments)
{
	const char *id = json_string_value(json_object_get(arguments, "id"));
	const char *path = json_string_value(json_object_get(arguments, "path"));
	int i;

	if (!strcmp(name, "qmp_capabilities"))
		return json_object();
	if (!strcmp(name, "query-status"))
		return json_pack("{s:b, s:s}", "running", !vm->paused, "status",
				 vm->paused ? "paused" : "running");
	if (!strcmp(name, "query-hotpluggable-cpus"))
		return fake_slots(vm);
	if (!strcmp(name, "query-cpus-fast"))
		return json_pack("[{s:i, s:s}]", "cpu-index", 0, "qom-path",
				 "/machine/peripheral/vmctl-cpu0");
	if (!strcmp(name, "device_add"))
		return fake_device_add(vm, arguments);
	if (!strcmp(name, "qom-get")) {
		i = fake_find(vm, path);
		return i < 0 ? NULL : json_integer(i);
	}
	if (strcmp(name, "device_del"))
		return NULL;
	i = fake_find(vm, id);
	fake_log(vm, "device_del %d;", i);
	if (i >= 0)
		vm->asked_back[i] = true;
	return i < 0 ? NULL : json_object();
}

static bool fake_execute(struct fake_vm *vm, int fd, const char *line)
{
	json_t *request = json_loads(line, 0, NULL), *value, *reply;
	const char *name = json_string_value(json_object_get(request, "execute"));
	bool quit;
	char *text;

	pthread_mutex_lock(&vm->lock);
	vm->why = NULL;
	if (!vm->command ||
	    !vm->command(vm, name, json_object_get(request, "arguments"), &value))
		value = fake_command(vm, name, json_object_get(request, "arguments"));
	quit = (vm->quit_add && !strcmp(name, "device_add")) ||
	       (vm->quit_del && !strcmp(name, "device_del"));
	reply = value ? json_pack("{s:o}", "return", value)
		      : json_pack("{s:{s:s}}", "error", "desc",
				  vm->why ? vm->why : "no\x1b[2J way");
	pthread_mutex_unlock(&vm->lock);
	json_object_set(reply, "id", json_object_get(request, "id"));
	text = json_dumps(reply, JSON_COMPACT);
	if (!quit) {
		fake_send(fd, text, strlen(text));
		fake_send(fd, "\r\n", 2);
	}
	free(text);
	json_decref(reply);
	json_decref(request);
	return !quit;
}

static void fake_qemu(struct fake_vm *vm, int fd)
{
	static const char greeting[] = "{\"QMP\": {\"version\": {}}}\r\n";
	FILE *in = fdopen(dup(fd), "r");
	char line[4096];

	fake_send(fd, greeting, strlen(greeting));
	while (fgets(line, sizeof(line), in) && fake_execute(vm, fd, line))
		;
	fclose(in);
}

/* --- the module --- */

static void fake_take_out(struct fake_vm *vm, unsigned int i, bool eject)
{
	vm->present[i] = vm->online[i] = false;
	if (eject && !vm->keeps && (!vm->wants_device_del || vm->asked_back[i]))
		vm->plugged[i] = vm->asked_back[i] = false;
}

/* Changes the guest as the request says; returns how many CPUs it names. */
static uint32_t fake_apply(struct fake_vm *vm, const uint8_t *in, uint32_t type)
{
	const uint8_t *p = in + sizeof(struct upcall_header);
	uint32_t k, n = p[0]; /* the count is the first byte of both */
	int ret = type == UPCALL_ADD_CPU ? vm->add_ret : vm->del_ret;

	fake_log(vm, "%s",
		 type == UPCALL_ADD_CPU	  ? "ADD_CPU"
		 : type == UPCALL_DEL_CPU ? "DEL_CPU"
					  : "DEL_CPU2");
	for (k = 0; k < n; k++) {
		unsigned int i = type == UPCALL_DEL_CPU2 ? p[8 + 12 * k] : p[2 + k];

		fake_log(vm, " %u", i);
		if (ret || i >= FAKE_SLOTS)
			continue;
		if (type == UPCALL_ADD_CPU)
			vm->present[i] = true;
		else
			fake_take_out(vm, i, type == UPCALL_DEL_CPU2);
	}
	fake_log(vm, ";");
	return n;
}

static void fake_put(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

/* Until a device_del came, or the VM is stopped. */
static void fake_wait_device_del(struct fake_vm *vm)
{
	bool seen = false;

	while (!seen) {
		poll(NULL, 0, 1);
		pthread_mutex_lock(&vm->lock);
		seen = vm->stopping || strstr(vm->log, "device_del");
		pthread_mutex_unlock(&vm->lock);
	}
}

static bool fake_request(struct fake_vm *vm, int fd, const uint8_t *in)
{
	uint32_t type = in[8] | in[9] << 8, n;
	uint8_t out[UPCALL_MSG_SIZE] = {0};
	bool add = type == UPCALL_ADD_CPU, stay = true;
	int ret;

	if (vm->request && vm->request(vm, fd, type, in, &stay))
		return stay;
	pthread_mutex_lock(&vm->lock);
	n = fake_apply(vm, in, type);
	ret = add ? vm->add_ret : vm->del_ret;
	pthread_mutex_unlock(&vm->lock);
	if (!add && vm->interrupt_del)
		kill(getpid(), SIGINT);
	if (add ? vm->drop_add : vm->drop_del)
		return false;
	if (add && vm->mute_add)
		return true;
	if (add && vm->hold_add)
		fake_wait_device_del(vm);
	if (!add && vm->late_del_ms)
		poll(NULL, 0, vm->late_del_ms);
	fake_put(out, UPCALL_MAGIC);
	fake_put(out + 4, 4);
	fake_put(out + 8, type);
	fake_put(out + 16, (uint32_t)ret);
	fake_put(out + 20, ret ? 0 : n);
	if (!vm->no_extensions) {
		fake_put(out + 0x40, UPCALL_EXT_MAGIC);
		fake_put(out + 0x44, ret ? 0 : UINT32_MAX);
		fake_put(out + 0x50, 2000000);
		if (ret)
			strcpy((char *)out + 0x58, "not \x1b[1mtoday");
	}
	return fake_send(fd, out, sizeof(out));
}

static void fake_module(struct fake_vm *vm, int fd)
{
	uint8_t msg[UPCALL_MSG_SIZE] = {0};
	char service;

	if (recv(fd, &service, 1, MSG_WAITALL) != 1 || service != 'd')
		return;
	fake_put(msg, UPCALL_MAGIC);
	if (!vm->no_extensions) {
		fake_put(msg + 0x40, UPCALL_EXT_MAGIC);
		fake_put(msg + 0x44, 1);
		fake_put(msg + 0x48, UPCALL_FEATURE_DETAIL | UPCALL_FEATURE_DEL_CPU2 |
					     UPCALL_FEATURE_CPU | vm->features);
	}
	fake_send(fd, msg, sizeof(msg));
	while (recv(fd, msg, sizeof(msg), MSG_WAITALL) == sizeof(msg))
		if (!fake_request(vm, fd, msg))
			break;
}

/* --- the agent --- */

struct fake_cpus {
	Vmctl__Agent__V1__Cpus message;
	uint32_t possible[FAKE_SLOTS], present[FAKE_SLOTS], online[FAKE_SLOTS];
};

static void fake_fill_cpus(const struct fake_vm *vm, struct fake_cpus *c)
{
	uint32_t i;

	vmctl__agent__v1__cpus__init(&c->message);
	c->message.possible = c->possible;
	c->message.present = c->present;
	c->message.online = c->online;
	for (i = 0; i < FAKE_SLOTS; i++) {
		c->possible[c->message.n_possible++] = i;
		if (vm->present[i] && (!i || !vm->blind))
			c->present[c->message.n_present++] = i;
		if (vm->online[i] && (!i || !vm->blind))
			c->online[c->message.n_online++] = i;
	}
}

static size_t fake_info(const struct fake_vm *vm, uint8_t *out)
{
	Vmctl__Agent__V1__GetGuestInfoResponse r =
		VMCTL__AGENT__V1__GET_GUEST_INFO_RESPONSE__INIT;
	struct fake_cpus cpus;

	fake_fill_cpus(vm, &cpus);
	r.kernel = (char *)"6.12\x1b[2J";
	r.hostname = (char *)"guest";
	r.agent_version = (char *)"0.1";
	r.uptime_nano = 1500000000;
	r.memory_total_bytes = 512 << 20;
	r.cpus = &cpus.message;
	return vmctl__agent__v1__get_guest_info_response__pack(&r, out);
}

static size_t fake_online(struct fake_vm *vm, const ProtobufCBinaryData *payload,
			  uint8_t *out)
{
	Vmctl__Agent__V1__OnlineCpusResponse r =
		VMCTL__AGENT__V1__ONLINE_CPUS_RESPONSE__INIT;
	Vmctl__Agent__V1__CpuResult failed = VMCTL__AGENT__V1__CPU_RESULT__INIT;
	Vmctl__Agent__V1__CpuResult *results[] = {&failed};
	Vmctl__Agent__V1__OnlineCpusRequest *request =
		vmctl__agent__v1__online_cpus_request__unpack(NULL, payload->len,
							      payload->data);
	struct fake_cpus cpus;
	size_t i;

	fake_log(vm, "OnlineCpus");
	for (i = 0; i < request->n_cpus; i++) {
		fake_log(vm, " %u", request->cpus[i]);
		failed.cpu = request->cpus[i];
		vm->online[request->cpus[i]] = !vm->stays_offline;
	}
	fake_log(vm, ";");
	fake_fill_cpus(vm, &cpus);
	r.cpus = &cpus.message;
	failed.error = ENOMEM;
	failed.message = (char *)"no\x07 memory";
	r.n_results = vm->stays_offline;
	r.results = results;
	vmctl__agent__v1__online_cpus_request__free_unpacked(request, NULL);
	return vmctl__agent__v1__online_cpus_response__pack(&r, out);
}

static bool fake_call(struct fake_vm *vm, int fd, uint32_t stream, const uint8_t *frame,
		      size_t len)
{
	Ttrpc__Request *request = ttrpc__request__unpack(NULL, len, frame);
	struct ttrpc_header h = {.stream_id = stream, .type = TTRPC_RESPONSE};
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	uint8_t payload[1024], out[1200] = {0};
	bool stay = true;

	if (vm->mute_agent || (vm->call && vm->call(vm, fd, stream, request, &stay))) {
		ttrpc__request__free_unpacked(request, NULL);
		return stay;
	}
	pthread_mutex_lock(&vm->lock);
	response.payload.data = payload;
	if (!strcmp(request->method, "GetGuestInfo"))
		response.payload.len = fake_info(vm, payload);
	else if (!strcmp(request->method, "OnlineCpus"))
		response.payload.len = fake_online(vm, &request->payload, payload);
	else
		response.payload = request->payload; /* Ping: the same field */
	pthread_mutex_unlock(&vm->lock);
	h.length = ttrpc__response__pack(&response, out + TTRPC_HEADER_SIZE);
	if (vm->babble)
		memset(out + TTRPC_HEADER_SIZE, 0xff, h.length);
	ttrpc_header_encode(&h, out);
	ttrpc__request__free_unpacked(request, NULL);
	return fake_send(fd, out, TTRPC_HEADER_SIZE + h.length);
}

static bool fake_drops(struct fake_vm *vm)
{
	bool drops;

	pthread_mutex_lock(&vm->lock);
	drops = vm->drop_after-- <= 0 && vm->drop_calls > 0;
	vm->drop_calls -= drops;
	pthread_mutex_unlock(&vm->lock);
	return drops;
}

static void fake_agent(struct fake_vm *vm, int fd)
{
	uint8_t header[TTRPC_HEADER_SIZE], frame[1024];
	struct ttrpc_header h;

	while (recv(fd, header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
		ttrpc_header_decode(header, &h);
		if (h.length > sizeof(frame) ||
		    recv(fd, frame, h.length, MSG_WAITALL) != (ssize_t)h.length ||
		    fake_drops(vm) || !fake_call(vm, fd, h.stream_id, frame, h.length))
			break;
	}
}

/* --- sockets and threads --- */

static bool fake_refuses(struct fake_vm *vm, unsigned int port)
{
	bool refuses = false;

	if (port == 219)
		return vm->no_module;
	if (port != 220)
		return !vm->port;
	pthread_mutex_lock(&vm->lock);
	refuses = vm->no_agent || vm->refuse_dials > 0;
	vm->refuse_dials--;
	pthread_mutex_unlock(&vm->lock);
	return refuses;
}

static void fake_vsock(struct fake_vm *vm, int fd)
{
	unsigned int port;
	char line[64];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (sscanf(line, "CONNECT %u", &port) != 1 || fake_refuses(vm, port))
		return;
	fake_send(fd, "OK 1073741824\n", 14);
	if (port == 219)
		fake_module(vm, fd);
	else if (port == 220)
		fake_agent(vm, fd);
	else
		vm->port(vm, fd, port);
}

struct fake_connection {
	struct fake_vm *vm;
	size_t index;
	bool qmp;
};

static void *fake_serve(void *arg)
{
	struct fake_connection c = *(struct fake_connection *)arg;

	free(arg);
	if (c.qmp)
		fake_qemu(c.vm, c.vm->fd[c.index]);
	else
		fake_vsock(c.vm, c.vm->fd[c.index]);
	shutdown(c.vm->fd[c.index], SHUT_RDWR);
	return NULL;
}

static void *fake_accept(void *arg)
{
	struct fake_connection *self = arg;
	struct fake_vm *vm = self->vm;
	int fd;

	while ((fd = accept(vm->listener[self->qmp], NULL, NULL)) >= 0) {
		struct fake_connection *c = malloc(sizeof(*c));

		pthread_mutex_lock(&vm->lock);
		*c = *self;
		c->index = vm->connections;
		vm->fd[c->index] = fd;
		pthread_create(&vm->thread[vm->connections++], NULL, fake_serve, c);
		pthread_mutex_unlock(&vm->lock);
	}
	free(self);
	return NULL;
}

static void fake_listen(struct fake_vm *vm, bool qmp)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct fake_connection *self = malloc(sizeof(*self));

	*self = (struct fake_connection){.vm = vm, .qmp = qmp};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s.sock", vm->dir,
		 qmp ? "qmp" : "vsock");
	vm->listener[qmp] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
		bind(vm->listener[qmp], (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(vm->listener[qmp], 8), 0);
	assert_int_equal(pthread_create(&vm->acceptor[qmp], NULL, fake_accept, self),
			 0);
}

/* Starts it as "vm1", with the boot CPU and those of APIC ids 1 to `others`. */
static void fake_start(struct fake_vm *vm, int others)
{
	int i;

	for (i = 0; i <= others; i++)
		vm->plugged[i] = vm->present[i] = vm->online[i] = true;
	strcpy(vm->root, "/tmp/fake_vm.XXXXXX");
	assert_non_null(mkdtemp(vm->root));
	snprintf(vm->dir, sizeof(vm->dir), "%s/vm1", vm->root);
	assert_int_equal(mkdir(vm->dir, 0700), 0);
	setenv("VMCTL_RUN_DIR", vm->root, 1);
	pthread_mutex_init(&vm->lock, NULL);
	vm->listener[0] = vm->listener[1] = -1;
	if (!vm->no_vsock)
		fake_listen(vm, false);
	if (!vm->no_qmp)
		fake_listen(vm, true);
}

static void fake_stop(struct fake_vm *vm)
{
	char path[96];
	size_t i;

	pthread_mutex_lock(&vm->lock);
	vm->stopping = true;
	pthread_mutex_unlock(&vm->lock);
	for (i = 0; i < 2; i++) {
		if (vm->listener[i] < 0)
			continue;
		shutdown(vm->listener[i], SHUT_RDWR);
		pthread_join(vm->acceptor[i], NULL);
		close(vm->listener[i]);
		snprintf(path, sizeof(path), "%s/%s.sock", vm->dir,
			 i ? "qmp" : "vsock");
		unlink(path);
	}
	for (i = 0; i < vm->connections; i++) {
		shutdown(vm->fd[i], SHUT_RDWR);
		pthread_join(vm->thread[i], NULL);
		close(vm->fd[i]);
	}
	rmdir(vm->dir);
	rmdir(vm->root);
}

/* For each APIC id: QEMU has it, the guest has it, it is online: "Qpo Qp- ---". */
__attribute__((unused)) static const char *fake_state(struct fake_vm *vm)
{
	static char text[64];
	size_t i, used = 0;

	for (i = 0; i < FAKE_SLOTS; i++)
		used += snprintf(text + used, sizeof(text) - used, "%s%c%c%c",
				 i ? " " : "", vm->plugged[i] ? 'Q' : '-',
				 vm->present[i] ? 'p' : '-', vm->online[i] ? 'o' : '-');
	return text;
}

#endif
