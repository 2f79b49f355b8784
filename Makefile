# SPDX-License-Identifier: Apache-2.0
#
# make demo     installs what is missing, builds, and plugs CPUs into a guest
# make check    installs what is missing, builds, and runs every test
# make help     names the other targets
#
# V=1 shows the commands. O=DIR builds somewhere other than build/.

O       ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := $(shell cat VERSION)
KERNELS := 6.1 6.12

BINDIR   ?= $(PREFIX)/bin
SBINDIR  ?= $(PREFIX)/sbin
SHAREDIR ?= $(PREFIX)/share
MANDIR   ?= $(SHAREDIR)/man
DOCDIR   ?= $(PREFIX)/share/doc/vmctl
UNITDIR  ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
MODULEDIR ?= $(PREFIX)/src/upcall-$(VERSION)
ZSHDIR   ?= zsh/site-functions
INSTALL  ?= install
PROTOC_C ?= protoc-c
FUZZ_CC  ?= clang

# Of each fuzzer's run in `make fuzz`.
FUZZ_SECONDS ?= 300

CFLAGS ?= -O2 -g
ifdef SANITIZE
CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif
# pkg-config is asked at each use, so that `make deps` may install it first.
CPPFLAGS_ALL = -D_GNU_SOURCE -DVMCTL_VERSION='"$(VERSION)"' -Iproto -I$(O)/gen $(CPPFLAGS)
CFLAGS_ALL   = -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wformat=2 -Werror=implicit-function-declaration $(CFLAGS)

ifneq ($(V),1)
Q   := @
say  = @printf '  %-8s %s\n' $(1) $(2)
endif

# One library a room (all but its main.c), so that tests link what programs link.
ROOMS    := proto agent transport host-cli
sources   = $(filter-out %/main.c,$(wildcard $(1)/*.c))
objects   = $(patsubst %.c,$(O)/%.o,$(1))
PROTOS   := $(patsubst proto/%,%,$(shell find proto -name '*.proto'))
GEN_C    := $(patsubst %.proto,$(O)/gen/%.pb-c.c,$(PROTOS))
GEN_O    := $(GEN_C:.c=.o)
LIBS     := $(foreach r,$(ROOMS),$(O)/lib$(r).a)
PROGRAMS := $(O)/vmctl $(O)/vsockd $(O)/vmctl-agent
UNITS    := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/test_*.c))
MODULES  := $(foreach k,$(KERNELS),$(O)/kmod/$(k)/upcall.ko)

.PHONY: all build deps demo check check-kernels check-kernel-debug check-kata soak-module soak-vsockd soak-vsock \
	soak-siblings soak-agent fuzz lint install clean help module unit vm bench check-interop
.DELETE_ON_ERROR:
.SECONDARY:

all: build
build: $(PROGRAMS)
unit: $(UNITS)
module: $(MODULES)

help:
	@echo 'demo check   the two to begin with (they run deps)'
	@echo 'deps         installs packages, fetches kernels'
	@echo 'build        vmctl, vsockd, vmctl-agent     module  upcall.ko for $(KERNELS)'
	@echo 'unit vm      unit test programs, test guests (built, not run)'
	@echo 'fuzz         every fuzzer, FUZZ_SECONDS ($(FUZZ_SECONDS)) each'
	@echo 'check-agent         the agent and vmctl, on each of $(KERNELS)'
	@echo 'check-kernels       the module from 6.1 to the newest kernel'
	@echo 'check-kernel-debug  in a kernel tree; with KASAN, lockdep, kmemleak (builds kernels)'
	@echo 'check-kata          the kernel that Kata Containers boots, with the driver (builds it)'
	@echo 'check-interop       the Go and the Rust ttrpc clients against the agent'
	@echo 'soak-module         500 rounds of each class, on each of $(KERNELS)'
	@echo 'soak-vsockd         its worker is killed: 2000 times, and 100 under a guest'
	@echo 'soak-vsock          1 GiB each way, in writes of all sizes, on each of $(KERNELS)'
	@echo 'soak-siblings       two guests, 1 GiB at each other, on each of $(KERNELS)'
	@echo 'soak-agent          a guest paused for a minute, a command of 1 GiB, on each of $(KERNELS)'
	@echo 'bench        how fast vsockd is: a table, and $(O)/bench/vsock.json'
	@echo 'install      all; or install-host, install-agent, install-module'
	@echo 'packages     Debian 12 and 13, and RPMs, in $(O)/packages'
	@echo 'check-packages      installs and removes them, each in a system of its kind (as root)'
	@echo 'check-guest         Debian guests and a host with them, run by systemd (as root)'
	@echo 'dist lint clean'

deps:
	$(Q)tests/deps

demo check: deps
	$(Q)$(MAKE) --no-print-directory -j2 build module vm
	$(Q)tests/$@

vm: $(foreach k,$(KERNELS),$(O)/vm/initramfs-$(k).img)

lint:
	$(Q)tests/lint

check-agent: deps vm build
	$(Q)tests/check $(addprefix agent-,$(KERNELS))

check-kernels check-kernel-debug check-kata: deps
	$(Q)tests/$@

soak-siblings: deps vm build
	$(Q)for kernel in $(KERNELS); do \
		SIBLING_BYTES=$$((1 << 30)) VM_KERNEL=$$kernel bats --tap tests/vm/siblings.bats || exit; \
	done

# As long and as much as an operator may do it; `make check` has less of both.
soak-agent: deps vm build
	$(Q)for kernel in $(KERNELS); do \
		PAUSE_SECONDS=60 OUTPUT_BYTES=$$((1 << 30)) VM_KERNEL=$$kernel \
			bats --tap tests/vm/faults.bats || exit; \
	done

soak-vsock: deps vm build
	$(Q)for kernel in $(KERNELS); do \
		STREAM_BYTES=$$((1 << 30)) VM_KERNEL=$$kernel bats --tap tests/vm/streams.bats || exit; \
	done

soak-module: deps vm build
	$(Q)for kernel in $(KERNELS); do VM_KERNEL=$$kernel tests/vm/soak 500 || exit; done

soak-vsockd: deps vm build $(O)/tests/unit/test_survive
	$(Q)SURVIVE_KILLS=2000 $(O)/tests/unit/test_survive
	$(Q)SURVIVE_KILLS=100 VM_KERNEL=6.12 O=$(O) bats --tap tests/vm/survive.bats

fuzz: build vm fuzzers
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) O=$(O) bats --tap tests/fuzz

$(O)/gen/%.pb-c.c $(O)/gen/%.pb-c.h: proto/%.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(O)/gen
	$(Q)$(PROTOC_C) -Iproto --c_out=$(O)/gen $<

$(O)/gen/%.o: $(O)/gen/%.c
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Generated headers come before anything that may include them.
$(O)/%.o: %.c Makefile VERSION | $(GEN_C)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

.SECONDEXPANSION:
$(O)/lib%.a: $$(call objects,$$(call sources,%)) $$(if $$(filter proto,%),$(GEN_O))
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

AGENT_LIBS := libmd libnl-3.0 libnl-route-3.0 libnl-genl-3.0
$(O)/agent/%.o: CPPFLAGS += $(shell pkg-config --cflags libnl-3.0)

$(O)/vmctl: LDLIBS_ALL = $(shell pkg-config --libs jansson libmd)
$(O)/vmctl: $(O)/host-cli/main.o $(O)/libhost-cli.a $(O)/libproto.a
$(O)/vmctl-agent: LDLIBS_ALL = $(shell pkg-config --libs $(AGENT_LIBS))
$(O)/vmctl-agent: $(O)/agent/main.o $(O)/libagent.a $(O)/libproto.a
$(O)/vsockd: LDLIBS_ALL = $(shell pkg-config --libs libseccomp)
$(O)/vsockd: $(O)/transport/main.o $(O)/libtransport.a $(O)/libproto.a
$(PROGRAMS):
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL) $(shell pkg-config --libs libprotobuf-c)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIBS) -Wl,--end-group \
		$(shell pkg-config --libs cmocka libprotobuf-c jansson libseccomp $(AGENT_LIBS))

# The agent for other implementations' clients.
$(O)/tests/interop/agent: $(O)/tests/interop/agent.o $(O)/libagent.a $(O)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libprotobuf-c $(AGENT_LIBS))

check-interop:
	$(Q)tests/deps interop
	$(Q)$(MAKE) --no-print-directory $(O)/tests/interop/agent
	$(Q)O=$(O) tests/interop/run

# These start the program itself.
$(addprefix $(O)/tests/unit/test_,survive survive_packed survive_front survive_front_packed store \
	sandbox service): $(O)/vsockd
$(O)/tests/unit/test_every_verb: $(O)/vmctl

# The module's validation of messages, unchanged, in user space.
PARSER := kmod-upcall/request.c kmod-upcall/report.c
SHIM   := -Itests/fuzz/shim -Ikmod-upcall
$(O)/kmod-upcall/%.o $(O)/tests/unit/test_request.o: CPPFLAGS += $(SHIM)
$(O)/kmod-upcall/%.o: CFLAGS_ALL += -Wno-unused-parameter
$(O)/tests/unit/test_request: LIBS = $(PARSER:%.c=$(O)/%.o)
$(O)/tests/unit/test_request: $(PARSER:%.c=$(O)/%.o)

$(O)/fuzz/fuzz_request: tests/fuzz/fuzz_request.c tests/fuzz/fuzz.h $(PARSER) $(wildcard kmod-upcall/*.h proto/*.h tests/fuzz/shim/*/*)
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS_ALL) $(SHIM) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

# vsockd's own sources, each fuzzer with what it needs of them.
FUZZ_RING  := $(addprefix transport/,vring.c vring_split.c vring_packed.c memory.c dirty_log.c \
	inflight.c inflight_split.c inflight_packed.c)
FUZZ_FRONT := $(FUZZ_RING) $(wildcard transport/vhost_user*.c transport/keeper*.c) \
	$(addprefix transport/,state.c store.c notify.c)
FUZZ_DEVICE := $(filter-out transport/sandbox% transport/holder% \
	$(patsubst %,transport/%.c,main log vsockd control answer figures door listener), \
	$(wildcard transport/*.c)) $(patsubst %,proto/%.c,dial hybrid endpoint io registry) \
	tests/fuzz/machine.c tests/fuzz/accounts.c
FUZZ_TRANSPORT := $(addprefix $(O)/fuzz/fuzz_,ring front packet line)
FUZZ_AGENT     := $(addprefix $(O)/fuzz/fuzz_,agent parse)
FUZZERS        := $(O)/fuzz/fuzz_request $(FUZZ_TRANSPORT) $(FUZZ_AGENT)
$(O)/fuzz/fuzz_ring: $(FUZZ_RING)
$(O)/fuzz/fuzz_front: $(FUZZ_FRONT)
$(O)/fuzz/fuzz_packet $(O)/fuzz/fuzz_line: $(FUZZ_DEVICE)
$(O)/fuzz/fuzz_packet: tests/fuzz/flow.c
$(FUZZ_TRANSPORT): $(O)/fuzz/%: tests/fuzz/%.c tests/fuzz/silent_log.c proto/error.c \
		$(wildcard transport/*.h proto/*.h tests/fuzz/*.h) tests/unit/way.h
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS_ALL) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

# The agent as a whole, but for main().
FUZZ_CFLAGS   := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_OBJECTS  := $(patsubst %.c,$(O)/fuzz/%.o,$(call sources,agent) $(call sources,proto)) \
	$(patsubst $(O)/%.c,$(O)/fuzz/%.o,$(GEN_C))
$(O)/fuzz/agent/%.o: CPPFLAGS += $(shell pkg-config --cflags libnl-3.0)
$(O)/fuzz/gen/%.o: $(O)/gen/%.c
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS_ALL) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined \
		-MMD -MP -c -o $@ $<

$(O)/fuzz/%.o: %.c Makefile VERSION | $(GEN_C)
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS_ALL) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined \
		-MMD -MP -c -o $@ $<

$(FUZZ_AGENT): $(O)/fuzz/%: $(O)/fuzz/tests/fuzz/%.o $(FUZZ_OBJECTS)
	$(call say,CLANG,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ \
		$(shell pkg-config --libs libprotobuf-c $(AGENT_LIBS))

.PHONY: fuzzers
fuzzers: $(FUZZERS)

$(O)/tests/vm/guest/%.o: CPPFLAGS += $(shell pkg-config --cflags libnl-genl-3.0)
$(O)/tests/vm/guest/upcall-events: $(O)/tests/vm/guest/upcall-events.o
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $< $(shell pkg-config --libs libnl-genl-3.0)

GUEST_PROGRAMS := $(foreach p,upcall-events hold-pages vsock-messages vsock-stream \
	vsock-forward,$(O)/tests/vm/guest/$(p))
$(filter-out %/upcall-events %/vsock-forward,$(GUEST_PROGRAMS)): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $<

$(O)/tests/vm/guest/vsock-forward: $(O)/tests/vm/guest/vsock-forward.o $(O)/libtransport.a $(O)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs cmocka libprotobuf-c libseccomp)

# kbuild writes beside the sources it is given, so it is given a copy. A newer kernel
# may have taken the place of the cached one.
CACHE = $(or $(VMCTL_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vmctl)
$(O)/kmod/%/upcall.ko: $$(shell find -L kmod-upcall -type f) tests/vm/build-module \
		$$(wildcard $$(CACHE)/kernel-$$*/release)
	$(call say,KBUILD,$@)
	$(Q)tests/vm/build-module $* $(O)/kmod/$*

$(O)/vm/initramfs-%.img: $(O)/vmctl-agent $(O)/vmctl $(O)/kmod/%/upcall.ko tests/vm/mkinitramfs \
		$(GUEST_PROGRAMS) $$(wildcard tests/vm/guest/*)
	$(call say,CPIO,$@)
	$(Q)tests/vm/mkinitramfs $* $@

# Measures vsockd as its monitor and guest would see it, beside the sockets underneath.
BENCH := $(O)/tests/bench/vsock-ring
$(BENCH): $(patsubst %.c,$(O)/%.o,$(wildcard tests/bench/*.c))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs jansson) -lpthread -lm

BENCHED = $(O)/vsockd --cid {cid} --vhost-user {vhost-user} --uds {uds} --max-connections 10100
bench: $(O)/vsockd $(BENCH)
	$(Q)mkdir -p $(O)/bench
	$(Q)$(BENCH) --spawn '$(BENCHED)' --spawn-busy '$(BENCHED) --busy-poll 1000' \
		--json $(O)/bench/vsock.json $(BENCH_OPTIONS)

# What goes where: the packages are made of this. On a host, in a guest, and the module's
# source for the guest's DKMS.
.PHONY: install-host install-agent install-module dist
install: install-host install-agent install-module

install-host: $(O)/vmctl $(O)/vsockd
	$(INSTALL) -D -m 755 $(O)/vmctl $(DESTDIR)$(BINDIR)/vmctl
	$(INSTALL) -D -m 755 $(O)/vsockd $(DESTDIR)$(SBINDIR)/vsockd
	$(INSTALL) -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/vmctl
	sed 's,@SBINDIR@,$(SBINDIR),' packaging/systemd/vsockd@.service.in \
		>$(DESTDIR)$(UNITDIR)/vsockd@.service
	$(INSTALL) -m 644 packaging/systemd/vsockd@.socket $(DESTDIR)$(UNITDIR)
	$(INSTALL) -D -m 644 packaging/systemd/vmctl.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/vmctl.conf
	$(INSTALL) -D -m 644 packaging/completion/vmctl.bash \
		$(DESTDIR)$(SHAREDIR)/bash-completion/completions/vmctl
	$(INSTALL) -D -m 644 packaging/completion/_vmctl $(DESTDIR)$(SHAREDIR)/$(ZSHDIR)/_vmctl
	$(INSTALL) -D -m 644 packaging/completion/vmctl.fish \
		$(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/vmctl.fish
	$(call install_pages,vmctl.1 vsockd.8)

install-agent: $(O)/vmctl-agent
	$(INSTALL) -D -m 755 $(O)/vmctl-agent $(DESTDIR)$(SBINDIR)/vmctl-agent
	$(INSTALL) -d $(DESTDIR)$(UNITDIR)
	sed 's,@SBINDIR@,$(SBINDIR),;s,@DOCDIR@,$(DOCDIR),' packaging/systemd/vmctl-agent.service.in \
		>$(DESTDIR)$(UNITDIR)/vmctl-agent.service
	$(INSTALL) -D -m 644 packaging/systemd/vmctl-agent-sandbox.conf \
		$(DESTDIR)$(DOCDIR)/vmctl-agent-sandbox.conf
	# One that is there is its administrator's.
	test -e $(DESTDIR)$(SYSCONFDIR)/vmctl/agent-policy.conf || \
		$(INSTALL) -D -m 644 packaging/agent-policy.conf \
			$(DESTDIR)$(SYSCONFDIR)/vmctl/agent-policy.conf
	$(call install_pages,vmctl-agent.8)

install-module:
	$(INSTALL) -d $(DESTDIR)$(MODULEDIR)
	cp -RL kmod-upcall/. $(DESTDIR)$(MODULEDIR)
	chmod -R u=rwX,go=rX $(DESTDIR)$(MODULEDIR)
	sed 's,@VERSION@,$(VERSION),' packaging/dkms/dkms.conf.in >$(DESTDIR)$(MODULEDIR)/dkms.conf
	$(INSTALL) -D -m 644 packaging/dkms/modules-load.conf \
		$(DESTDIR)$(PREFIX)/lib/modules-load.d/upcall.conf
	$(INSTALL) -D -m 644 packaging/dkms/modprobe.conf \
		$(DESTDIR)$(PREFIX)/lib/modprobe.d/upcall.conf

# They have our programs where they are by default.
install_pages = $(foreach page,$(1),$(INSTALL) -d $(call page_dir,$(page)) && \
	sed 's,/usr/local/sbin,$(SBINDIR),' docs/$(page) >$(call page_dir,$(page))/$(page) &&) true
page_dir = $(DESTDIR)$(MANDIR)/man$(lastword $(subst ., ,$(1)))

# The source as it is committed, for who builds packages elsewhere.
dist:
	$(Q)mkdir -p $(O)
	$(Q)git archive --prefix=vmctl-$(VERSION)/ -o $(O)/vmctl-$(VERSION).tar HEAD
	$(Q)gzip -9nf $(O)/vmctl-$(VERSION).tar

# Each in a system of its own kind.
.PHONY: packages packages-deb packages-rpm check-packages check-guest
packages: packages-deb packages-rpm

packages-deb:
	$(Q)tests/deps packages
	$(Q)O=$(O) packaging/make-deb

packages-rpm:
	$(Q)tests/deps packages
	$(Q)O=$(O) packaging/make-rpm

check-packages:
	$(Q)tests/deps packages
	$(Q)O=$(O) packaging/make-deb --twice
	$(Q)for release in 12 13; do \
		RELEASE=$$release O=$(O) bats --tap tests/packages/debian.bats || exit; \
	done
	$(Q)O=$(O) packaging/make-rpm --twice
	$(Q)O=$(O) bats --tap tests/packages/rpm.bats

# Debian guests and a host with the packages, run by systemd.
check-guest: packages-deb
	$(Q)for release in 12 13; do \
		DEBIAN=$$release O=$(O) bats --tap tests/guest/guest.bats || exit; \
	done

clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' -type f -not -path '$(O)/kmod/*' -not -path '$(O)/guest/*' 2>/dev/null)
