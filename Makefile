# sumi: build, check, install. Everything that is built lies under build/.
#
#   make            programs in build/bin/
#   make demo       bootstrap, build, queue a few prompts with the pack in the box
#   make check      bootstrap with what tests need, build with -Werror, run every test
#   make asan       unit tests under AddressSanitizer and UBSan
#   make bench      figures of this machine
#   make soak       the long crash suite, and a queue of a million jobs
#   make clients    other people's clients against the gateway, from PyPI
#   make fuzz       libFuzzer over every parser (FUZZ=60s a target)
#   make install    DESTDIR= PREFIX=/usr/local

CC      ?= cc
PREFIX  ?= /usr/local
BUILD   ?= build
VERSION := 0.1.0
comma   := ,
Q       := $(if $(V),,@)# make V=1 prints whole command lines

ROOMS := base request media hub backends backends/opencl backends/reference weights networks diffusion modalities queue storage
PKGS  := hiredis sqlite3 OpenCL vorbis vorbisenc vorbisfile ogg vpx libwebp libwebpmux libwebpdemux \
         jansson inih libcurl kissfft-float libebur128 chafa libsystemd libpng zlib libjpeg libcrypto libutf8proc
GATEWAY_PKGS := libevent_core # of sumi-gateway alone

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) $(GATEWAY_PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --exists $(GATEWAY_PKGS) && pkg-config --libs $(PKGS) 2>/dev/null)
GATEWAY_LIBS := $(shell pkg-config --libs $(GATEWAY_PKGS) 2>/dev/null)

OPT      ?= -O2 -g
WARN     := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DCL_TARGET_OPENCL_VERSION=120 \
            -DSUMI_VERSION='"$(VERSION)"' -DSUMI_PREFIX='"$(PREFIX)"'
CFLAGS   += -std=c11 $(OPT) $(WARN) $(SAN) $(PKG_CFLAGS) -pthread
LDFLAGS  += $(SAN) -pthread
LDLIBS   += $(PKG_LIBS) -lm

LIB_SRC     := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
GEN_SRC     := $(BUILD)/gen/kernels.c $(BUILD)/gen/lua.c $(BUILD)/gen/sql.c
LIB_OBJ     := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(GEN_SRC:$(BUILD)/%.c=$(BUILD)/obj/%.o)
LIB         := $(BUILD)/libsumi.a
PROGRAMS    := $(if $(wildcard cli/*.c),$(BUILD)/bin/sumi) $(if $(wildcard daemon/*.c),$(BUILD)/bin/sumid) \
               $(if $(wildcard gateway/*.c),$(BUILD)/bin/sumi-gateway)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
UNIT        := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
UNIT_COMMON := $(filter-out $(UNIT_SRC) tests/unit/failing_memory.c,$(wildcard tests/unit/*.c))
BENCH_COMMON := $(patsubst %.h,%.c,$(wildcard bench/*.h))
BENCH       := $(patsubst bench/%.c,$(BUILD)/bench/%,$(filter-out $(BENCH_COMMON),$(wildcard bench/*.c)))

# A warning is an error where tests are built, never where somebody only builds sumi. Whatever was
# built with one (*.o.said holds it) is built again there.
ifneq ($(filter check-built unit unit-asan asan,$(MAKECMDGOALS)),)
WERROR := -Werror
STALE  := $(shell find $(BUILD) -name '*.o.said' -size +0 2>/dev/null)
$(shell rm -f $(STALE) $(STALE:.said=))
endif

all: $(if $(PKG_LIBS),$(PROGRAMS),libraries-missing)

libraries-missing:
	@echo "make: pkg-config finds not all of: $(PKGS) $(GATEWAY_PKGS)" >&2
	@echo "make: ./bootstrap installs them on Debian and Ubuntu, and lists them elsewhere" >&2
	@exit 1

$(BUILD)/bin/sumi: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cli/*.c)) $(LIB)
$(BUILD)/bin/sumid: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard daemon/*.c)) $(LIB)
$(BUILD)/bin/sumi-gateway: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard gateway/*.c)) $(BUILD)/obj/gen/page.o $(LIB)
$(BUILD)/bin/sumi-gateway: LDLIBS += $(GATEWAY_LIBS)
$(BUILD)/tests/test_kept_models: $(BUILD)/obj/daemon/models.o
$(BUILD)/tests/test_when: $(BUILD)/obj/cli/when.o $(BUILD)/obj/cli/when_words.o
$(BUILD)/tests/test_head: $(BUILD)/obj/gateway/head.o
$(BUILD)/tests/test_multipart: $(BUILD)/obj/gateway/multipart.o
$(BUILD)/tests/test_group: $(BUILD)/obj/daemon/group.o
$(BUILD)/tests/test_beat: $(BUILD)/obj/daemon/beat.o
$(BUILD)/tests/test_team: $(BUILD)/obj/daemon/team.o $(BUILD)/obj/daemon/group.o
$(BUILD)/tests/test_team: LDFLAGS += -Wl,--wrap=queue_claim_fellow
NO_MEMORY := $(BUILD)/tests/test_no_memory $(BUILD)/tests/test_no_memory_runs
$(NO_MEMORY): $(BUILD)/obj/tests/unit/failing_memory.o
$(NO_MEMORY): LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc free \
	aligned_alloc posix_memalign strdup strndup)
$(UNIT): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_COMMON:%.c=$(BUILD)/obj/%.o) $(LIB)
$(BENCH): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BENCH_COMMON:%.c=$(BUILD)/obj/%.o) $(LIB)
$(UNIT): LDLIBS += -lcmocka

$(PROGRAMS) $(UNIT) $(BENCH):
	@mkdir -p $(@D)
	@echo LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@echo AR $@
	$(Q)ar rcs $@ $^

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) $(WERROR) -MMD -MP -c -o $@ $< 2>$@.said; \
	status=$$?; cat $@.said >&2; exit $$status

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo CC $<
	$(Q)$(COMPILE)

$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo CC $<
	$(Q)$(COMPILE)

KERNEL_FILES := $(sort $(wildcard backends/opencl/kernels/*.cl))
LUA_FILES    := $(sort $(wildcard queue/lua/*.lua))
SQL_FILES    := $(sort $(wildcard storage/migrations/*.sql))
PAGE_FILES   := $(sort $(wildcard gateway/page/*))

# $(call embed,TARGET,TABLE,FILES): the list of names is a prerequisite of its own, so that
# a removed file is noticed too.
define embed
$(BUILD)/gen/$(1).list: FORCE
	@mkdir -p $$(@D)
	@echo '$(3)' | cmp -s - $$@ || echo '$(3)' > $$@
$(BUILD)/gen/$(1).c: $(3) tools/embed.sh $(BUILD)/gen/$(1).list
	@tools/embed.sh $(2) $(3) > $$@.tmp && mv $$@.tmp $$@
endef
$(eval $(call embed,kernels,embedded_kernels,$(KERNEL_FILES)))
$(eval $(call embed,lua,embedded_lua,$(LUA_FILES)))
$(eval $(call embed,sql,embedded_sql,$(SQL_FILES)))
$(eval $(call embed,page,embedded_page,$(PAGE_FILES)))

# As many compilers as processors, where nobody said how many.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

bootstrap:
	./bootstrap

# bootstrap may have installed what pkg-config did not find when this file was read:
# build in a second make.
check:
	./bootstrap check
	$(MAKE) $(JOBS) check-built

check-built: all unit unit-asan $(addprefix $(BUILD)/bench/,floors models ops loras)
	BUILD=$(BUILD) tests/run.sh

# Without cmocka there are no unit tests: run.sh says so.
HAVE_CMOCKA := $(shell pkg-config --exists cmocka 2>/dev/null && echo yes)
unit: $(if $(HAVE_CMOCKA),$(UNIT))

# The unit tests once more, under AddressSanitizer (leaks included) and UBSan. GCC's sanitizers
# make its warnings about cut texts and unset variables unreliable.
unit-asan:
	$(MAKE) BUILD=$(BUILD)/asan \
		OPT='-O1 -g -fno-omit-frame-pointer -Wno-format-truncation -Wno-maybe-uninitialized' \
		SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined' unit

asan: unit-asan
	BUILD=$(BUILD) tests/run.sh --asan-only

benches: $(BENCH)

# Under two cores in half a minute: what a newcomer sees first.
demo: bootstrap
	$(MAKE) $(JOBS) all
	tools/demo.sh

# Hours of kills, a million jobs, every allocation; short forms of all are part of check.
soak: all $(BUILD)/tests/test_queue_many $(NO_MEMORY)
	for t in $(NO_MEMORY); do SUMI_TEST_ALL=1 $$t || exit 1; done
	tests/e2e/crash.py --long
	SUMI_MANY=1000000 $(BUILD)/tests/test_queue_many

clients: all
	for t in $$(find tests/clients -name '*.py' -perm -u+x | sort); do echo "$$t"; BUILD=$(BUILD) $$t || exit 1; done

bench:
	./bootstrap check
	$(MAKE) $(JOBS) all benches
	BUILD=$(BUILD) bench/run.py

# libFuzzer over every parser, with clang and its sanitizers; outside `make check` but for the two
# minutes that tests/checks/fuzz.sh takes. FUZZ: time or number of inputs for each
# target (60s, 5m, 10000000).
FUZZ      ?= 60s
FUZZ_CC   ?= clang
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS   := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)

$(BUILD)/fuzz/fuzz_http: $(BUILD)/obj/gateway/head.o $(BUILD)/obj/gateway/multipart.o
$(BUILD)/fuzz/fuzz_preview: $(BUILD)/obj/cli/preview.o
$(BUILD)/fuzz/fuzz_replies: LDFLAGS += -Wl,--wrap=redisConnectWithTimeout -Wl,--wrap=redisEnableKeepAlive
$(BUILD)/fuzz/fuzz_times: $(BUILD)/obj/cli/when.o $(BUILD)/obj/cli/when_words.o
$(BUILD)/fuzz/fuzz_lists: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cli/lists*.c) cli/size.c cli/when.c cli/when_words.c)
$(BUILD)/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/fuzz.o $(LIB)
	@mkdir -p $(@D)
	@echo LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter-out $(LIB),$^) $(LIB) $(LDLIBS)

$(BUILD)/fuzz/make-seeds: $(BUILD)/obj/tests/fuzz/seeds.o $(LIB)
	@mkdir -p $(@D)
	@echo LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzzers-built: $(FUZZERS) $(BUILD)/fuzz/make-seeds

fuzzers:
	$(MAKE) BUILD=$(BUILD)/clang CC='$(FUZZ_CC)' WARN='-Wall -Werror=implicit-function-declaration' OPT='-O1 -g -fno-omit-frame-pointer' \
		SAN='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined \
			-fsanitize-coverage-ignorelist=tests/fuzz/uncounted.txt' \
		fuzzers-built

fuzz: fuzzers
	BUILD=$(BUILD)/clang tests/fuzz/run.sh '$(FUZZ)'

SHARE := $(DESTDIR)$(PREFIX)/share
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
INSTALLED_UNITS := sumid.service sumi-gateway.service sumi-gateway.socket sumi-nightly.service sumi-nightly.timer

# The documents lie beside each other there, so their links do.
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/sumi/models $(SHARE)/doc/sumi/img $(UNITS) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/man/man8 \
		$(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions \
		$(SHARE)/fish/vendor_completions.d
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	cp -R models/. $(SHARE)/sumi/models/
	install -d $(SHARE)/sumi/grafana
	install -m 644 packaging/grafana/* $(SHARE)/sumi/grafana
	for u in $(INSTALLED_UNITS); do \
		sed 's|/usr/local/bin/|$(PREFIX)/bin/|' systemd/$$u | install -m 644 /dev/stdin $(UNITS)/$$u; done
	install -m 644 systemd/sumi.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sumi.conf
	install -m 644 docs/man/*.1 $(SHARE)/man/man1
	install -m 644 docs/man/*.5 $(SHARE)/man/man5
	install -m 644 docs/man/*.8 $(SHARE)/man/man8
	install -m 644 LICENSE docs/*.json $(SHARE)/doc/sumi
	install -m 644 docs/img/* $(SHARE)/doc/sumi/img
	for d in README.md queue/PROTOCOL.md docs/*.md; do \
		sed -E 's,\]\((\.\./)?(docs|queue)/,](,g' $$d | install -m 644 /dev/stdin $(SHARE)/doc/sumi/$${d##*/}; done
	install -m 644 packaging/completion/sumi.bash $(SHARE)/bash-completion/completions/sumi
	install -m 644 packaging/completion/_sumi $(SHARE)/zsh/site-functions/_sumi
	install -m 644 packaging/completion/sumi.fish $(SHARE)/fish/vendor_completions.d/sumi.fish

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(notdir $(PROGRAMS)))
	rm -rf $(SHARE)/sumi $(SHARE)/doc/sumi
	rm -f $(addprefix $(UNITS)/,$(INSTALLED_UNITS)) $(DESTDIR)$(PREFIX)/lib/sysusers.d/sumi.conf
	rm -f $(patsubst docs/man/%.1,$(SHARE)/man/man1/%.1,$(wildcard docs/man/*.1)) \
		$(patsubst docs/man/%.5,$(SHARE)/man/man5/%.5,$(wildcard docs/man/*.5)) \
		$(patsubst docs/man/%.8,$(SHARE)/man/man8/%.8,$(wildcard docs/man/*.8))
	rm -f $(SHARE)/bash-completion/completions/sumi $(SHARE)/zsh/site-functions/_sumi \
		$(SHARE)/fish/vendor_completions.d/sumi.fish

clean:
	rm -rf $(BUILD)

FORCE:

.PHONY: all clients libraries-missing bootstrap check check-built unit unit-asan asan benches bench demo soak fuzz fuzzers fuzzers-built install uninstall clean FORCE
.SECONDARY:

-include $(patsubst %.o,%.d,$(LIB_OBJ)) $(wildcard $(BUILD)/obj/cli/*.d $(BUILD)/obj/daemon/*.d $(BUILD)/obj/gateway/*.d \
         $(BUILD)/obj/tests/unit/*.d $(BUILD)/obj/bench/*.d $(BUILD)/obj/tests/fuzz/*.d)
