# rbee: `make help` lists the targets.
#
# Three programs from one tree. A file belongs to the program of its folder; what is in common/ and
# db/ goes through archives, so that each program links only what it uses. SANITIZE= and CC= build
# into folders of their own.

SHELL := /bin/bash
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CC := gcc
SANITIZE ?=
TEST_HOOKS ?=
comma := ,
BUILD ?= build/$(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),plain)$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))
BIN := $(BUILD)/bin
VERSION := 0.1.0

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPTIMISE := -O2 -g -fno-strict-aliasing -fno-omit-frame-pointer
CPPFLAGS += -I. -I$(BUILD)/generated -D_GNU_SOURCE -DRBEE_VERSION='"$(VERSION)"'
CFLAGS += -std=gnu17 $(OPTIMISE) $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fPIE,$(HARDENING))
LDFLAGS += -pie -Wl,--as-needed -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# llhttp: Debian's node-llhttp ships the C sources; newer systems have it as a library.
LLHTTP_SOURCE_DIR ?= /usr/share/llhttp
LLHTTP_INCLUDE_DIR ?= /usr/share/include/llhttp
CPPFLAGS += -isystem $(LLHTTP_INCLUDE_DIR)
LLHTTP_OBJECTS := $(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp)

COMMON_SOURCES := $(wildcard common/*.c common/http/*.c)
DB_SOURCES := $(wildcard db/*.c)
SUPERVISOR_SOURCES := $(wildcard supervisor/*.c)
WORKER_SOURCES := $(wildcard hip/*.c hip/*/*.c)
CLI_SOURCES := $(wildcard cli/*.c tui/*.c)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
COMMON_LIB := $(BUILD)/libcommon.a
DB_LIB := $(BUILD)/libdb.a
# Everything of a program but its main(), for unit tests and fuzzers to link.
SUPERVISOR_LIB := $(BUILD)/libsupervisor.a
WORKER_LIB := $(BUILD)/libworker.a
CLI_LIB := $(BUILD)/libcli.a

COMMON_LIBS := -levent_core -ljansson -lsodium -lconfuse
WORKER_LIBS := -lpcre2-8 -lm -lpthread
SUPERVISOR_LIBS := -lsqlite3 -lpthread

.PHONY: all
all: $(BIN)/rbee $(BIN)/rbeed $(BIN)/rbee-worker ## Build the three programs

$(BIN)/rbee: $(call objects,cli/main.c) $(CLI_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS)

$(BIN)/rbeed: $(call objects,supervisor/main.c) $(SUPERVISOR_LIB) $(DB_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(SUPERVISOR_LIBS)

$(BIN)/rbee-worker: $(call objects,hip/worker.c) $(WORKER_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(WORKER_LIBS)

$(COMMON_LIB): $(call objects,$(COMMON_SOURCES)) $(LLHTTP_OBJECTS)
$(DB_LIB): $(call objects,$(DB_SOURCES)) $(BUILD)/obj/db/migrations_data.o
$(SUPERVISOR_LIB): $(call objects,$(filter-out supervisor/main.c,$(SUPERVISOR_SOURCES)))
$(WORKER_LIB): $(call objects,$(filter-out hip/worker.c,$(WORKER_SOURCES)))
$(CLI_LIB): $(call objects,$(filter-out cli/main.c,$(CLI_SOURCES)))
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# Per-file instruction sets; each such file is entered only after a run-time check.
$(BUILD)/obj/hip/backend/cpu_avx2.o: CFLAGS += -mavx2 -mfma -mf16c -O3
$(BUILD)/obj/hip/backend/cpu.o: CFLAGS += -O3

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SOURCE_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) -I$(LLHTTP_INCLUDE_DIR) -DLLHTTP_STRICT_MODE=1 -std=gnu11 $(OPTIMISE) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -fPIE -w -c -o $@ $<

# The migrations, in order, as C strings.
MIGRATIONS := $(sort $(wildcard db/migrations/*.sql))
$(BUILD)/generated/migrations_data.c: $(MIGRATIONS) db/embed_migrations.sh
	@mkdir -p $(@D)
	bash db/embed_migrations.sh $(MIGRATIONS) >$@
$(BUILD)/obj/db/migrations_data.o: $(BUILD)/generated/migrations_data.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: clean
clean: ## Remove what was built
	rm -rf build

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'
