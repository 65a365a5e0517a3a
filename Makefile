# sumi: build, check, install. Everything that is built lies under build/.
#
#   make            programs in build/bin/
#   make demo       bootstrap, build, queue a few prompts with the pack in the box
#   make check      bootstrap, build, run every test
#   make asan       unit tests under AddressSanitizer and UBSan
#   make bench      figures of this machine
#   make soak       the long crash suite
#   make install    DESTDIR= PREFIX=/usr/local

CC      ?= cc
PREFIX  ?= /usr/local
BUILD   ?= build
VERSION := 0.1.0
Q       := $(if $(V),,@)# make V=1 prints whole command lines

ROOMS := base backends backends/opencl backends/reference diffusion modalities queue storage
PKGS  := hiredis sqlite3 OpenCL vorbis vorbisenc ogg libwebp libwebpmux libwebpdemux \
         jansson inih libcurl kissfft-float libebur128 chafa libsystemd libpng libcrypto

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

OPT      ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DCL_TARGET_OPENCL_VERSION=120 \
            -DSUMI_VERSION='"$(VERSION)"' -DSUMI_PREFIX='"$(PREFIX)"'
CFLAGS   += -std=c11 $(OPT) $(WARN) $(SAN) $(PKG_CFLAGS) -pthread
LDFLAGS  += $(SAN) -pthread
LDLIBS   += $(PKG_LIBS) -lm

LIB_SRC     := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
GEN_SRC     := $(BUILD)/gen/kernels.c $(BUILD)/gen/lua.c $(BUILD)/gen/sql.c
LIB_OBJ     := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(GEN_SRC:$(BUILD)/%.c=$(BUILD)/obj/%.o)
LIB         := $(BUILD)/libsumi.a
PROGRAMS    := $(if $(wildcard cli/*.c),$(BUILD)/bin/sumi) $(if $(wildcard daemon/*.c),$(BUILD)/bin/sumid)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
UNIT        := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
UNIT_COMMON := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
BENCH       := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))

all: $(PROGRAMS)

$(BUILD)/bin/sumi: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cli/*.c)) $(LIB)
$(BUILD)/bin/sumid: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard daemon/*.c)) $(LIB)
$(UNIT): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_COMMON:%.c=$(BUILD)/obj/%.o) $(LIB)
$(BENCH): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(LIB)
$(UNIT): LDLIBS += -lcmocka

$(BUILD)/bin/% $(BUILD)/tests/% $(BUILD)/bench/%:
	@mkdir -p $(@D)
	@echo LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@echo AR $@
	$(Q)ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

KERNEL_FILES := $(sort $(wildcard backends/opencl/kernels/*.cl))
LUA_FILES    := $(sort $(wildcard queue/lua/*.lua))
SQL_FILES    := $(sort $(wildcard storage/migrations/*.sql))

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

bootstrap:
	./bootstrap

# bootstrap may have installed what pkg-config did not find when this file was read:
# build in a second make.
check: bootstrap
	$(MAKE) check-built

check-built: all unit
	BUILD=$(BUILD) tests/run.sh

unit: $(UNIT)

asan:
	$(MAKE) BUILD=$(BUILD)/asan OPT='-O1 -g -fno-omit-frame-pointer' \
		SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined' unit
	BUILD=$(BUILD)/asan tests/run.sh --unit-only

benches: $(BENCH)

clean:
	rm -rf $(BUILD)

FORCE:

.PHONY: all bootstrap check check-built unit asan benches clean FORCE
.SECONDARY:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
