/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arguments of QEMU that this project depends on, and nothing else: disks,
 * kernel, console and the like are the user's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cleanup.h"
#include "registry.h"
#include "report.h"
#include "slots.h"
#include "text.h"
#include "verbs.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path))
/*
 * SeaBIOS drops an MP table above 600 bytes (its src/fw/biostables.c). Each CPU
 * takes 20 of them and each PCI interrupt 8: 18 CPUs fit with few devices.
 */
#define MP_TABLE_CPUS 16

/*
 * microvm has eight virtio-mmio windows, which devices take from the highest down
 * (QEMU, hw/i386/microvm.c): the first one's, as <size>@<base>:<irq>.
 */
#define MICROVM_FIRST_DEVICE "512@0xfeb00e00:12"

/* QEMU, ACPI_MAX_RAM_SLOTS. A vhost-user back-end may take fewer. */
#define MEMORY_SLOTS_MAX 256

#define VALUE_MAX 1024

struct machine;

struct args {
	const struct machine *machine;
	uint64_t cpus, max_cpus, spare, memory, cid;
	uint64_t max_memory, memory_slots; /* max_memory 0: none can be plugged */
	bool explain, append;
	char vhost[SOCKET_PATH_MAX], vsock[SOCKET_PATH_MAX], qmp[SOCKET_PATH_MAX];
	struct report *report;
	json_t *list; /* with --json: the words */
};

struct machine {
	const char *name;
	const char *options;
	bool hotplug;
	const char *vsock_device;
};

static const struct machine machines[] = {
	{"q35", "", true, "vhost-user-vsock-pci"},
	{"microvm", ",acpi=off,auto-kernel-cmdline=off", false,
	 "vhost-user-vsock-device"},
};

static int set_machine(void *into, const char *value, struct error *err)
{
	struct args *a = into;
	size_t i;

	for (i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (!strcmp(value, machines[i].name)) {
			a->machine = &machines[i];
			return 0;
		}
	}
	return error_set(err, -EINVAL, "--machine %s: give q35 or microvm", value);
}

static int take_number(const char *option, const char *value, uint64_t min,
		       uint64_t max, uint64_t *number, struct error *err)
{
	if (text_number(value, min, max, number))
		return error_set(err, -EINVAL, "%s %s: give a number from %llu to %llu",
				 option, value, (unsigned long long)min,
				 (unsigned long long)max);
	return 0;
}

static int set_cpus(void *into, const char *value, struct error *err)
{
	return take_number("--cpus", value, 1, SLOTS_MAX, &((struct args *)into)->cpus,
			   err);
}

static int set_max_cpus(void *into, const char *value, struct error *err)
{
	return take_number("--max-cpus", value, 1, SLOTS_MAX,
			   &((struct args *)into)->max_cpus, err);
}

static int set_spare(void *into, const char *value, struct error *err)
{
	return take_number("--spare", value, 0, SLOTS_MAX,
			   &((struct args *)into)->spare, err);
}

static int set_cid(void *into, const char *value, struct error *err)
{
	return take_number("--cid", value, 3, UINT32_MAX - 1,
			   &((struct args *)into)->cid, err);
}

static int set_memory(void *into, const char *value, struct error *err)
{
	if (text_mebibytes(value, &((struct args *)into)->memory))
		return error_set(err, -EINVAL,
				 "--memory %s: give a size such as 512M or 2G", value);
	return 0;
}

static int set_max_memory(void *into, const char *value, struct error *err)
{
	if (text_mebibytes(value, &((struct args *)into)->max_memory))
		return error_set(err, -EINVAL,
				 "--max-memory %s: give a size such as 4G", value);
	return 0;
}

static int set_memory_slots(void *into, const char *value, struct error *err)
{
	return take_number("--memory-slots", value, 1, MEMORY_SLOTS_MAX,
			   &((struct args *)into)->memory_slots, err);
}

static int set_explain(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct args *)into)->explain = true;
	return 0;
}

static int set_append(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct args *)into)->append = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"machine", "TYPE", "q35 (with CPU hotplug) or microvm (q35)", 0, set_machine},
	{"cpus", "N", "CPUs at boot (1)", 0, set_cpus},
	{"max-cpus", "M", "CPUs there can ever be (4, at least --cpus)", 0,
	 set_max_cpus},
	{"spare", "N", "slots beyond what the guest may use; see vmctl(1)", 0,
	 set_spare},
	{"memory", "SIZE", "guest memory, as 512M or 2G (512M)", 0, set_memory},
	{"max-memory", "SIZE", "what it may grow to by hotplug-mem (--memory)", 0,
	 set_max_memory},
	{"memory-slots", "N", "pieces that can be plugged then (4)", 0,
	 set_memory_slots},
	{"cid", "N", "the vsock CID that --explain tells vsockd (3)", 0, set_cid},
	{"explain", NULL, "say in # lines why each is needed", 0, set_explain},
	{"append", NULL, "print the guest kernel's arguments instead", 0, set_append},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "qemu-args",
	.operands = "NAME",
	.about =
		"Prints the arguments that QEMU needs for a VM of that name, one on a\n"
		"line, quoted where a shell needs it. For example\n"
		"  vmctl qemu-args vm1 | xargs qemu-system-x86_64 -kernel ...",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

/* A path inside an option's value: QEMU reads ",," as one comma there. */
static void escape_commas(char *to, size_t size, const char *path)
{
	size_t used = 0;

	for (; *path && used + 2 < size; path++) {
		if (*path == ',')
			to[used++] = ',';
		to[used++] = *path;
	}
	to[used] = '\0';
}

/* Comment lines, of --explain only. */
static void why(const struct args *a, const char *text)
{
	if (a->explain && !a->list)
		printf("# %s\n", text);
}

static void emit(struct args *a, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void emit(struct args *a, const char *option, const char *fmt, ...)
{
	cleanup_free char *quoted = NULL;
	char value[VALUE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (a->list) {
		json_array_append_new(a->list, json_string(option));
		json_array_append_new(a->list, json_string(value));
		return;
	}
	quoted = text_quote(value);
	if (quoted)
		printf("%s\n%s\n", option, quoted);
	else
		report_fail(a->report, STATUS_FAILURE, "out of memory");
}

static enum status find_paths(struct args *a, const char *name, struct report *r)
{
	struct error err = {0};
	const struct {
		const char *file;
		char *path;
	} paths[] = {{"vhost.sock", a->vhost},
		     {"vsock.sock", a->vsock},
		     {"qmp.sock", a->qmp}};
	size_t i;
	int ret;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ret = registry_path(name, paths[i].file, paths[i].path, SOCKET_PATH_MAX,
				    &err);
		if (ret)
			return report_fail(
				r, ret == -EINVAL ? STATUS_USAGE : STATUS_FAILURE, "%s",
				err.text);
	}
	return STATUS_OK;
}

static enum status check(struct args *a, struct report *r)
{
	if (!a->machine->hotplug && (a->max_cpus > a->cpus || a->spare)) {
		report_warn(r, "QEMU's microvm has no CPU hotplug: --max-cpus and "
			       "--spare have no effect there");
		a->max_cpus = a->spare = 0;
	}
	if (a->max_memory && !a->machine->hotplug) {
		report_warn(r, "QEMU's microvm has no memory hotplug: --max-memory has "
			       "no effect there");
		a->max_memory = 0;
	}
	if (a->max_memory && a->max_memory < a->memory)
		return report_fail(r, STATUS_USAGE,
				   "--max-memory %lluM is below --memory %lluM",
				   (unsigned long long)a->max_memory,
				   (unsigned long long)a->memory);
	if (!a->max_cpus)
		a->max_cpus = !a->machine->hotplug || a->cpus > 4 ? a->cpus : 4;
	if (a->max_cpus < a->cpus)
		return report_fail(
			r, STATUS_USAGE, "--max-cpus %llu is below --cpus %llu",
			(unsigned long long)a->max_cpus, (unsigned long long)a->cpus);
	if (a->max_cpus + a->spare > SLOTS_MAX)
		return report_fail(r, STATUS_USAGE, "%d CPUs at most", SLOTS_MAX);
	if (a->max_cpus + a->spare > MP_TABLE_CPUS)
		report_warn(r,
			    "above %d slots SeaBIOS may leave the MP table out, and a "
			    "guest without ACPI then finds one CPU",
			    MP_TABLE_CPUS);
	return STATUS_OK;
}

static void print_machine(struct args *a)
{
	unsigned long long slots = a->max_cpus + a->spare;

	if (!a->machine->hotplug) {
		why(a, "microvm has no CPU hotplug in QEMU. Its kernel arguments for "
		       "virtio-mmio devices");
		why(a, "mean nothing to a stock kernel; those of --append do, to the "
		       "upcall module.");
	}
	emit(a, "-machine", "%s%s,memory-backend=mem0", a->machine->name,
	     a->machine->options);
	why(a, "vsockd is another process: guest memory must be shared with it.");
	if (a->max_memory > a->memory) {
		why(a, "slots, maxmem: room for memory that vmctl hotplug-mem plugs.");
		emit(a, "-m", "%lluM,slots=%llu,maxmem=%lluM",
		     (unsigned long long)a->memory, (unsigned long long)a->memory_slots,
		     (unsigned long long)a->max_memory);
	} else {
		emit(a, "-m", "%lluM", (unsigned long long)a->memory);
	}
	emit(a, "-object", "memory-backend-memfd,id=mem0,size=%lluM,share=on",
	     (unsigned long long)a->memory);
	why(a, "One CPU a socket: the firmware's MP table lists one CPU a socket, and "
	       "it is all");
	why(a, "that a guest without ACPI reads. Sockets above --cpus are the free "
	       "slots.");
	emit(a, "-smp", "%llu,sockets=%llu,cores=1,threads=1,maxcpus=%llu",
	     (unsigned long long)a->cpus, slots, slots);
}

static void print_devices(struct args *a, const char *name)
{
	char path[2 * SOCKET_PATH_MAX], line[512];

	snprintf(line, sizeof(line),
		 "vsockd must listen first: vsockd --cid %llu --vhost-user %s --uds %s",
		 (unsigned long long)a->cid, a->vhost, a->vsock);
	why(a, line);
	escape_commas(path, sizeof(path), a->vhost);
	emit(a, "-chardev", "socket,id=vsock0,path=%s", path);
	if (!strcmp(a->machine->name, "microvm")) {
		why(a, "The legacy register layout, QEMU's default here, has no virtio "
		       "1.0: no vsock.");
		emit(a, "-global", "virtio-mmio.force-legacy=false");
	}
	emit(a, "-device", "%s,chardev=vsock0", a->machine->vsock_device);
	snprintf(line, sizeof(line),
		 "vmctl creates and frees vCPUs through QMP: vmctl "
		 "hotplug-cpu %s",
		 name);
	why(a, line);
	escape_commas(path, sizeof(path), a->qmp);
	/* Not -qmp unix:PATH, which takes a '=' in the path for an option's. */
	emit(a, "-chardev", "socket,id=qmp0,path=%s,server=on,wait=off", path);
	emit(a, "-mon", "chardev=qmp0,mode=control");
}

/* What the guest's kernel, and the module in it, must be told. */
static void print_append(struct args *a)
{
	char text[96];

	why(a, "acpi=off: the module plugs where ACPI does not.");
	if (a->machine->hotplug) {
		why(a, "possible_cpus: how many CPUs the kernel prepares for.");
		snprintf(text, sizeof(text), "acpi=off possible_cpus=%llu",
			 (unsigned long long)a->max_cpus);
	} else {
		why(a, "upcall.mmio_device: where the vsock device is, if it is the "
		       "first -device.");
		snprintf(text, sizeof(text),
			 "acpi=off upcall.mmio_device=" MICROVM_FIRST_DEVICE);
	}
	if (a->list)
		report_set(a->report, "append", json_string(text));
	else
		printf("%s\n", text);
}

int qemu_args_main(int argc, char **argv)
{
	struct args a = {.machine = machines,
			 .cpus = 1,
			 .memory = 512,
			 .memory_slots = 4,
			 .cid = 3};
	struct options options;
	struct report r;
	int ret = options_parse(argc, argv, &syntax, &options, &a);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	a.report = &r;
	if (find_paths(&a, options.args[0], &r) != STATUS_OK ||
	    check(&a, &r) != STATUS_OK)
		return report_finish(&r);
	if (options.json) {
		a.list = json_array();
		report_set(&r, "args", a.list);
	}
	if (!a.append || options.json) {
		print_machine(&a);
		print_devices(&a, options.args[0]);
	}
	if (a.append || options.json)
		print_append(&a);
	return report_finish(&r);
}
