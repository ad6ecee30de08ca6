# rbee: `make help` lists the targets.
#
# Six programs from one tree. A file belongs to the program of its folder; what is in common/ and
# db/ goes through archives, so that each program links only what it uses. SANITIZE=, CC= and
# TEST_HOOKS=1 build into folders of their own.

SHELL := /bin/bash
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CC := gcc
SANITIZE ?=
# What only tests may do to a program: *_hook.c, behind RBEE_TEST_HOOKS. Never part of a release.
TEST_HOOKS ?=
# Libraries that Debian has as archives are linked in, so that the worker (and what tests of GPUs
# need) runs on another machine without a package. The C library is not: drivers are loaded late.
STATIC ?=
comma := ,
SANITIZE_NAME := $(subst $(comma),-,$(SANITIZE))
COMPILER_NAME := $(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))
PLAIN_BUILD := build/$(or $(SANITIZE_NAME),plain)$(COMPILER_NAME)
HOOKS_BUILD := build/hooks$(SANITIZE_NAME:%=-%)$(COMPILER_NAME)
BUILD ?= $(if $(TEST_HOOKS),$(HOOKS_BUILD),$(PLAIN_BUILD))$(if $(STATIC),-static)
BIN := $(BUILD)/bin
VERSION := 0.1.0

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPTIMISE := -O2 -g -fno-strict-aliasing -fno-omit-frame-pointer
CPPFLAGS += -I. -I$(BUILD)/generated -D_GNU_SOURCE -DRBEE_VERSION=\"$(VERSION)\"
CPPFLAGS += $(if $(TEST_HOOKS),-DRBEE_TEST_HOOKS)
CFLAGS += -std=gnu17 $(OPTIMISE) $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fPIE,$(HARDENING))
LDFLAGS += -pie -Wl,--as-needed -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# Debian packages: to build, to test beside that, to check beside that. Each is a complete list:
# nothing but git and make is taken for granted.
APT_BUILD := gcc libc6-dev libedit-dev libevent-dev libjansson-dev libsodium-dev libconfuse-dev \
             libpcre2-dev libsqlite3-dev libncurses-dev node-llhttp libcurl4-openssl-dev ca-certificates
APT_MODEL := python3 python3-pip
APT_TEST := faketime bats bats-assert bats-support bats-file libcmocka-dev python3 curl jq \
            procps util-linux valgrind strace openssl tmux
APT_CHECK := clang clang-format clang-tidy libclang-rt-14-dev cppcheck shellcheck
# Shells that complete, formatters of the manual, who reads the units.
APT_TEST += zsh fish mandoc man-db groff systemd
APT_DEB := debhelper dpkg-dev lintian
# Other supervisors to compare with: installed for who names that bench, because one of them starts
# a service of its own.
APT_RESPAWN := s6 supervisor
# Other dashboards, and other proxies, to compare with; likewise.
APT_TOP := htop btop python3
# Kernels for GPUs: Debian's clang-15 knows half of the architectures, and no family of them.
APT_KERNELS := clang-22 lld-22 llvm-22
APT_HIPCC := hipcc
APT_PROXY := nginx-light haproxy curl procps util-linux python3

# llhttp: Debian's node-llhttp ships the C sources; newer systems have it as a library.
LLHTTP_SOURCE_DIR ?= /usr/share/llhttp
LLHTTP_INCLUDE_DIR ?= /usr/share/include/llhttp
ifneq ($(wildcard /usr/include/llhttp.h),)
LLHTTP_LIBS := -lllhttp
else
CPPFLAGS += -isystem $(LLHTTP_INCLUDE_DIR)
LLHTTP_OBJECTS := $(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp)
endif

without_hooks = $(filter-out $(if $(TEST_HOOKS),,%_hook.c),$(1))
COMMON_SOURCES := $(call without_hooks,$(wildcard common/*.c common/http/*.c))
DB_SOURCES := $(wildcard db/*.c)
SUPERVISOR_SOURCES := $(call without_hooks,$(wildcard supervisor/*.c supervisor/*/*.c))
MIGRATIONS := $(sort $(wildcard db/migrations/*.sql))
WORKER_SOURCES := $(wildcard hip/*.c hip/*/*.c)
WATCH_SOURCES := $(wildcard watch/*.c)
GPU_SOURCES := $(wildcard gpu/*.c)
FETCH_SOURCES := $(wildcard fetch/*.c)
CLI_SOURCES := $(wildcard cli/*.c tui/*.c)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
COMMON_LIB := $(BUILD)/libcommon.a
DB_LIB := $(BUILD)/libdb.a
# Everything of a program but its main(), for unit tests and fuzzers to link.
SUPERVISOR_LIB := $(BUILD)/libsupervisor.a
WORKER_LIB := $(BUILD)/libworker.a
WATCH_LIB := $(BUILD)/libwatch.a
GPU_LIB := $(BUILD)/libgpu.a
FETCH_LIB := $(BUILD)/libfetch.a
CLI_LIB := $(BUILD)/libcli.a

link_in = $(if $(STATIC),-Wl$(comma)-Bstatic) $(1) $(if $(STATIC),-Wl$(comma)-Bdynamic)
COMMON_LIBS := $(call link_in,-levent_core -ljansson -lsodium -lconfuse $(LLHTTP_LIBS))
WORKER_LIBS := $(call link_in,-lpcre2-8) -lm -lpthread
SUPERVISOR_LIBS := -lsqlite3 -lm -lpthread
CLI_LIBS := -lncursesw -ltinfo -lm
FETCH_LIBS := -lcurl

.PHONY: all
all: $(BIN)/rbee $(BIN)/rbeed $(BIN)/rbee-worker $(BIN)/rbee-watch $(BIN)/rbee-fetch $(BIN)/rbee-gpu ## Build the six programs

$(BIN)/rbee: $(call objects,cli/main.c) $(CLI_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(CLI_LIBS)

$(BIN)/rbeed: $(call objects,supervisor/main.c) $(SUPERVISOR_LIB) $(DB_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(SUPERVISOR_LIBS)

$(BIN)/rbee-worker: $(call objects,hip/worker.c) $(WORKER_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(WORKER_LIBS)

# No library but libc: it stays in memory as long as rbeed does, and does very little.
$(BIN)/rbee-watch: $(call objects,watch/main.c) $(WATCH_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# NVIDIA's library is loaded at run time, where it is there and needed.
$(BIN)/rbee-gpu: $(call objects,gpu/main.c) $(GPU_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) -lm

$(BIN)/rbee-fetch: $(call objects,fetch/main.c) $(FETCH_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(FETCH_LIBS)

$(COMMON_LIB): $(call objects,$(COMMON_SOURCES)) $(LLHTTP_OBJECTS)
$(DB_LIB): $(call objects,$(DB_SOURCES)) $(if $(MIGRATIONS),$(BUILD)/obj/db/migrations_data.o)
$(SUPERVISOR_LIB): $(call objects,$(filter-out supervisor/main.c,$(SUPERVISOR_SOURCES)))
$(WORKER_LIB): $(call objects,$(filter-out hip/worker.c,$(WORKER_SOURCES)))
$(WATCH_LIB): $(call objects,$(filter-out watch/main.c,$(WATCH_SOURCES)))
$(GPU_LIB): $(call objects,$(filter-out gpu/main.c,$(GPU_SOURCES)))
$(FETCH_LIB): $(call objects,$(filter-out fetch/main.c,$(FETCH_SOURCES)))
$(CLI_LIB): $(call objects,$(filter-out cli/main.c,$(CLI_SOURCES)))
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# Inner loops. Instruction sets are chosen in the files themselves, and entered after a run-time check.
$(BUILD)/obj/hip/backend/cpu%.o: CFLAGS += -O3

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SOURCE_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) -I$(LLHTTP_INCLUDE_DIR) -DLLHTTP_STRICT_MODE=1 -std=gnu11 $(OPTIMISE) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -fPIE -w -c -o $@ $<

# ---- kernels for GPUs ----
# One source, an object for each architecture: of AMD's, exact ones and those of families, which need
# ROCm 6.3 where they run (code object 6), and PTX, which NVIDIA's driver compiles when it is first
# loaded (half a minute, then it remembers); cubins spare it that, where ptxas is there, which comes
# with nvcc. No header and no library of ROCm's or CUDA's is needed. Chosen when a worker starts
# (hip/backend/gpu_code.c); all else is built and runs without them.
KERNEL_CC ?= clang-22
KERNEL_SOURCE := hip/kernels/kernels.hip
KERNELS_AMD := gfx900 gfx906 gfx908 gfx90a gfx942 gfx1010 gfx1030 gfx1100 gfx1101 gfx1102 gfx1151 gfx1200 gfx1201
KERNELS_FAMILY := gfx9-generic gfx9-4-generic gfx10-1-generic gfx10-3-generic gfx11-generic gfx12-generic
KERNELS_NVIDIA := sm_80 sm_90
PTXAS ?= $(shell command -v ptxas)
ARCHS ?= $(KERNELS_AMD) $(KERNELS_FAMILY) $(KERNELS_NVIDIA)
KERNEL_FILES := $(patsubst %,$(BUILD)/kernels/%.co,$(filter gfx%,$(ARCHS))) \
                $(patsubst %,$(BUILD)/kernels/%.ptx,$(filter sm_%,$(ARCHS))) \
                $(if $(PTXAS),$(patsubst %,$(BUILD)/kernels/%.cubin,$(filter sm_%,$(ARCHS))))
KERNEL_FLAGS := -std=c++17 -O3 -I. -fno-strict-aliasing -ffreestanding -fno-exceptions -fno-rtti --cuda-device-only -fno-slp-vectorize \
                -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers -Wno-missing-designated-field-initializers
# Clang would pair sums of different rows for packed floats, which costs registers (hip/SPEED.md).
# Loops that are marked are unrolled however long that gets: else their arrays are no registers.
KERNEL_UNROLL := -mllvm -pragma-unroll-threshold=1000000
# GCN and CDNA run 64 lanes at a time, all later ones 32.
kernel_wave = $(if $(filter gfx9%,$(1)),64,32)

.PHONY: kernels
kernels: ## Compile the kernels for GPUs with clang-22: ARCHS="gfx1030 sm_80" (default: all)
	@$(if $(filter-out gfx% sm_%,$(ARCHS)),echo 'kernels: $(filter-out gfx% sm_%,$(ARCHS)) is no architecture; those known: $(KERNELS_AMD) $(KERNELS_FAMILY) $(KERNELS_NVIDIA)' >&2; exit 2)
	@scripts/packages.sh $(APT_KERNELS)
	@$(MAKE) --no-print-directory -s -j$(JOBS) kernel-files

.PHONY: kernel-files
kernel-files: $(KERNEL_FILES)

# clang makes no list of what it has read here.
$(KERNEL_FILES): $(wildcard hip/kernels/*)

$(BUILD)/kernels/%.co: $(KERNEL_SOURCE)
	@mkdir -p $(@D)
	$(KERNEL_CC) -x hip $(KERNEL_FLAGS) $(KERNEL_UNROLL) -DGPU_WAVE=$(call kernel_wave,$*) -nogpuinc -nogpulib \
		--no-gpu-bundle-output --offload-arch=$* -mcode-object-version=$(if $(filter %-generic,$*),6,5) \
		-o $@ $<

$(BUILD)/kernels/%.ptx: $(KERNEL_SOURCE)
	@mkdir -p $(@D)
	$(KERNEL_CC) -x cuda $(KERNEL_FLAGS) -DGPU_WAVE=32 -nocudainc -nocudalib --cuda-gpu-arch=$* \
		-Xclang -target-feature -Xclang +ptx78 -S -o $@ $<

$(BUILD)/kernels/%.cubin: $(BUILD)/kernels/%.ptx
	$(PTXAS) -O3 -arch=$* -o $@ $<

# Without matrix units, with 32 lanes, and with new instructions.
TABLE_ARCHS := gfx906 gfx1030 gfx1100
.PHONY: kernels-table
kernels-table: ## Show what clang made of the kernels: registers, spills, wide loads (T=regex of names)
	@$(MAKE) --no-print-directory kernels ARCHS="$(TABLE_ARCHS)"
	@scripts/kernels_table.sh $(if $(T),-k '$(T)') $(TABLE_ARCHS:%=$(BUILD)/kernels/%.co)

# On a machine with a GPU: CI has none. Kernels are made for the devices that are there.
.PHONY: gpu-programs
gpu-programs: $(BIN)/rbee-worker $(BUILD)/tests/make_gguf

.PHONY: gpu-test gpu-bench
gpu-test: ## Check the worker on this machine's GPU: the same text as ref and the CPU
gpu-bench: ## Measure the worker on this machine's GPU, and load it for GPU_LOAD_SECONDS=180
gpu-test gpu-bench:
	@scripts/packages.sh $(APT_BUILD)
	@$(MAKE) --no-print-directory -s -j$(JOBS) gpu-programs
	@$(MAKE) --no-print-directory kernels ARCHS="$$(BUILD=$(BUILD) tests/gpu/check.sh archs | xargs)"
	@BUILD=$(BUILD) tests/gpu/check.sh $(if $(filter gpu-test,$@),test,bench load)

# clang-15, another front end, and its own headers beside ours.
HIPCC_ARCHS := gfx906 gfx90a gfx1030
.PHONY: hipcc-check
hipcc-check: ## Compile the kernels with Debian's hipcc, too
	@scripts/packages.sh $(APT_HIPCC)
	@mkdir -p $(BUILD)/hipcc
	@for arch in $(HIPCC_ARCHS); do \
		echo "hipcc $$arch"; \
		hipcc --genco --offload-arch=$$arch -std=c++17 -O3 -I. \
			-DGPU_WAVE=$$(case $$arch in gfx9*) echo 64;; *) echo 32;; esac) \
			-o $(BUILD)/hipcc/$$arch.co $(KERNEL_SOURCE) || exit 1; \
	done

# The migrations, in order, as C strings.
$(BUILD)/generated/migrations_data.c: $(MIGRATIONS) db/embed_migrations.sh
	@mkdir -p $(@D)
	bash db/embed_migrations.sh $(MIGRATIONS) >$@
$(BUILD)/obj/db/migrations_data.o: $(BUILD)/generated/migrations_data.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The completions, as C strings: `rbee completion` prints them.
COMPLETIONS := bash=completions/rbee.bash zsh=completions/_rbee fish=completions/rbee.fish
$(BUILD)/generated/completion_files.c: completions/rbee.bash completions/_rbee completions/rbee.fish scripts/embed_completions.sh
	@mkdir -p $(@D)
	scripts/embed_completions.sh $(COMPLETIONS) >$@
$(BUILD)/obj/cli/completion_files_data.o: $(BUILD)/generated/completion_files.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(CLI_LIB): $(BUILD)/obj/cli/completion_files_data.o

# What is committed, and made of the .def files: completions/ and man/.
GENERATOR := $(BUILD)/tests/generate
$(GENERATOR): $(call objects,$(wildcard scripts/generate/*.c)) $(CLI_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(CLI_LIBS)

test-programs: $(GENERATOR)

.PHONY: generated
generated: $(GENERATOR) ## Write completions/ and man/ anew, from the tables
	@rm -f man/*.[157]
	@$(GENERATOR) . .

# ---- tests ----
# One binary for each tests/unit/test_*.c, tests/tools/*.c and tests/bench/bench_*.c, linked with
# everything but the programs' main(); the corpus of each fuzz target runs as a test, too.
test_programs = $(patsubst $(1)/%.c,$(BUILD)/tests/$(2)%,$(wildcard $(1)/$(3).c))
UNIT_TESTS := $(call test_programs,tests/unit,,test_*)
TEST_TOOLS := $(call test_programs,tests/tools,,*)
BENCHES := $(call test_programs,tests/bench,,bench_*)
FUZZ_REPLAYS := $(call test_programs,tests/fuzz,replay_,fuzz_*)
FUZZERS := $(call test_programs,tests/fuzz,,fuzz_*)
ARCHIVES := $(SUPERVISOR_LIB) $(WORKER_LIB) $(WATCH_LIB) $(FETCH_LIB) $(GPU_LIB) $(CLI_LIB) $(DB_LIB) $(COMMON_LIB)
ARCHIVE_USE = -Wl,--start-group
ARCHIVE_USE_END = -Wl,--end-group
$(BUILD)/tests/every_name: ARCHIVE_USE = -Wl,--whole-archive
$(BUILD)/tests/every_name: ARCHIVE_USE_END = -Wl,--no-whole-archive
LINK_TEST = $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVE_USE) $(ARCHIVES) \
            $(ARCHIVE_USE_END) $(COMMON_LIBS) $(WORKER_LIBS) $(SUPERVISOR_LIBS) $(FETCH_LIBS) $(CLI_LIBS)

$(UNIT_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK_TEST) -lcmocka
$(BUILD)/tests/test_histories: $(call objects,$(wildcard tests/history/*.c))
$(TEST_TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK_TEST)
$(BENCHES): $(BUILD)/tests/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/obj/tests/bench/common.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK_TEST)
$(FUZZ_REPLAYS): $(BUILD)/tests/replay_%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK_TEST)
$(FUZZERS): $(BUILD)/tests/%: $(BUILD)/obj/tests/fuzz/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK_TEST) -fsanitize=fuzzer

# A library as NVIDIA's driver brings it, in the tests' hands. No sanitizer: it is loaded late.
FAKE_NVML := $(BUILD)/tests/libnvidia-ml.so.1
FAKE_CUDA := $(BUILD)/tests/libcuda.so.1
$(FAKE_NVML): tests/fake/fake_nvml.c
$(FAKE_CUDA): tests/fake/fake_cuda.c
$(FAKE_NVML) $(FAKE_CUDA):
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -O1 -g $(WARNINGS) -fPIC -shared -o $@ $<

# An emulated GPU as AMD's library, with waves of 32 and of 64: the kernels as C, and those of the
# emulator's own tests in libraries of their own. ThreadSanitizer cannot follow fibers.
EMULATOR_WAVES := 32 64
EMULATORS := $(foreach wave,$(EMULATOR_WAVES),$(BUILD)/tests/libgpu-emulator-$(wave).so $(BUILD)/tests/libgpu-planted-$(wave).so)
EMULATOR_SANITIZE := $(filter-out thread,$(subst $(comma), ,$(SANITIZE)))
EMULATOR_CFLAGS = $(filter-out -fsanitize=%,$(CFLAGS)) $(EMULATOR_SANITIZE:%=-fsanitize=%) -fPIC \
                  -fvisibility=hidden -fno-math-errno -fno-stack-protector -DGPU_EMULATOR
EMULATOR_ENGINE := $(filter-out table planted,$(patsubst tests/emulator/%.c,%,$(wildcard tests/emulator/*.c)))

# Of a wave: objects by name, and the two tables.
define emulator_rules
$(BUILD)/obj/emulator-$(1)/%.o: tests/emulator/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(EMULATOR_CFLAGS) -DGPU_WAVE=$(1) $$(EMULATOR_TABLE) -MMD -MP -c -o $$@ $$<
$(BUILD)/obj/emulator-$(1)/kernels.o: hip/kernels/kernels.hip
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(EMULATOR_CFLAGS) -DGPU_WAVE=$(1) -MMD -MP -x c -c -o $$@ $$<
$(BUILD)/obj/emulator-$(1)/mma.o: EMULATOR_CFLAGS += -O3
$(BUILD)/obj/emulator-$(1)/table.o: EMULATOR_TABLE = -DEMULATOR_ARGS='"hip/kernels/args.h"' -DEMULATOR_KERNELS='"hip/kernels/kernels.def"'
$(BUILD)/obj/emulator-$(1)/planted_table.o: EMULATOR_TABLE = -DEMULATOR_ARGS='"tests/emulator/planted_args.h"' -DEMULATOR_KERNELS='"tests/emulator/planted.def"'
$(BUILD)/obj/emulator-$(1)/planted_table.o: tests/emulator/table.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(EMULATOR_CFLAGS) $$(EMULATOR_TABLE) -MMD -MP -c -o $$@ $$<
$(BUILD)/tests/libgpu-emulator-$(1).so: $(addprefix $(BUILD)/obj/emulator-$(1)/,$(EMULATOR_ENGINE:%=%.o) table.o kernels.o)
$(BUILD)/tests/libgpu-planted-$(1).so: $(addprefix $(BUILD)/obj/emulator-$(1)/,$(EMULATOR_ENGINE:%=%.o) planted_table.o planted.o)
endef
$(foreach wave,$(EMULATOR_WAVES),$(eval $(call emulator_rules,$(wave))))
$(EMULATORS):
	@mkdir -p $(@D)
	$(CC) $(EMULATOR_CFLAGS) -shared -Wl,-z,relro,-z,now -o $@ $^ -lm

.PHONY: test-programs
test-programs: all $(UNIT_TESTS) $(TEST_TOOLS) $(FUZZ_REPLAYS) $(FAKE_NVML) $(FAKE_CUDA) $(EMULATORS) hooks

# The supervisor and the worker have some.
.PHONY: hooks
hooks:
	@$(MAKE) --no-print-directory TEST_HOOKS=1 BUILD=$(HOOKS_BUILD) $(HOOKS_BUILD)/bin/rbeed $(HOOKS_BUILD)/bin/rbee-worker

JOBS ?= $(shell nproc)
T ?=

.PHONY: packages
packages: ## Install the Debian packages that building needs
	@scripts/packages.sh $(APT_BUILD)

.PHONY: demo
demo: ## Install, build, fetch a small model, ask it one question
	@scripts/packages.sh $(APT_BUILD)
	@$(MAKE) --no-print-directory -q all || echo 'demo: building rbee (about a minute)' >&2
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@scripts/demo.sh $(BIN) $(APT_MODEL)

.PHONY: test
test: ## Run every test, or the suites named: make test T="infer gguf"
	@scripts/packages.sh $(APT_BUILD) $(APT_TEST)
	@$(MAKE) --no-print-directory -s -j$(JOBS) test-programs
	@RBEE_DEMO_MODEL="$$(scripts/demo_model.sh $(APT_MODEL) || true)" \
		RBEE_GOLDEN_VOCABULARIES="$$(scripts/golden_vocabularies.sh || true)" \
		BUILD=$(BUILD) HOOKS_BUILD=$(HOOKS_BUILD) \
		SUITE_SECONDS=$(if $(SANITIZE),7200,900) tests/run.sh $(T)

.PHONY: check
check: ## Everything a change must pass: format, house rules, analyzers, tests
	@scripts/packages.sh $(APT_BUILD) $(APT_TEST) $(APT_CHECK)
	@CHECK_FLAGS='$(CPPFLAGS) -DRBEE_TEST_HOOKS' tests/check.sh $(T)

.PHONY: bench
bench: ## Measure: start, chain, HTTP, engine, respawn, proxy, top, each beside its yardstick (T=NAME: one)
	@scripts/packages.sh $(APT_BUILD) $(if $(filter respawn,$(T)),$(APT_RESPAWN)) \
		$(if $(filter proxy,$(T)),$(APT_PROXY)) $(if $(filter top,$(T)),$(APT_TOP))
	@$(MAKE) --no-print-directory -s -j$(JOBS) all $(BENCHES) \
		$(addprefix $(BUILD)/tests/,nothing newborn fast_worker http_load)
	@tests/bench/run.sh $(BUILD) $(T)

.PHONY: bench-proxy
bench-proxy: ## Measure what a request costs on its way through rbeed, beside nginx and haproxy
	@$(MAKE) --no-print-directory bench T=proxy

RBEE_HISTORIES ?= 1000000
.PHONY: histories
histories: ## Run the rules of restarts and breakers through RBEE_HISTORIES=1000000 random histories
	@scripts/packages.sh $(APT_BUILD) $(APT_TEST)
	@$(MAKE) --no-print-directory -s -j$(JOBS) $(BUILD)/tests/test_histories
	@time RBEE_HISTORIES=$(RBEE_HISTORIES) $(BUILD)/tests/test_histories

.PHONY: plant-faults
plant-faults: ## Plant one fault at a time in restarts and breakers: the tests must find each
	@scripts/packages.sh $(APT_BUILD) $(APT_TEST)
	@tests/plant_faults.sh

GOLDEN ?=
.PHONY: oracle
oracle: ## Compare the engine with llama.cpp; FRESH=1 asks it again, GOLDEN=1 writes tests/golden/
	@scripts/packages.sh $(APT_BUILD) $(APT_MODEL) $(if $(shell command -v npm),,npm)
	@$(MAKE) --no-print-directory -s -j$(JOBS) all $(addprefix $(BUILD)/tests/,decode_blocks eval gguf_to_f32 make_gguf tokenize)
	@tests/oracle/run.sh $(BUILD) $(if $(GOLDEN),--golden)

# libFuzzer comes with clang: the newest one that can link it.
FUZZ_SECONDS ?= 60
FUZZ_CC ?= $(or $(shell tests/fuzz/find_clang.sh),$(error no clang here can link libFuzzer: apt-get install clang libclang-rt-14-dev))

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes: FUZZ_SECONDS=60 each
	@$(MAKE) --no-print-directory -s -j$(JOBS) CC=$(FUZZ_CC) BUILD=build/fuzz \
		SANITIZE=fuzzer-no-link,address,undefined fuzz-programs
	@tests/fuzz/run.sh build/fuzz/tests $(FUZZ_SECONDS) $(T)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZERS)

# ---- install ----
# The names and defaults of GNU make's conventions. Helpers lie in ../libexec/rbee beside bindir, where
# rbeed looks for them wherever all of it has been moved to.
prefix ?= /usr/local
bindir = $(prefix)/bin
libexecdir = $(patsubst %/,%,$(dir $(bindir)))/libexec
datadir = $(prefix)/share
mandir = $(datadir)/man
docdir = $(datadir)/doc/rbee
bashcompdir = $(datadir)/bash-completion/completions
zshcompdir = $(datadir)/zsh/site-functions
fishcompdir = $(datadir)/fish/vendor_completions.d
systemduserdir = $(prefix)/lib/systemd/user
systemdsystemdir = $(prefix)/lib/systemd/system
sysusersdir = $(prefix)/lib/sysusers.d
INSTALL_FOLDERS := bindir libexecdir mandir docdir bashcompdir zshcompdir fishcompdir systemduserdir \
                   systemdsystemdir sysusersdir
install_files = @DESTDIR='$(DESTDIR)' BIN='$(BIN)' $(foreach name,$(INSTALL_FOLDERS),$(name)='$($(name))') \
                scripts/install.sh $(1)

.PHONY: install
install: all ## Install programs, manual, completions and units: prefix=/usr/local, DESTDIR=
	$(call install_files,install)

.PHONY: uninstall
uninstall: ## Take away what install has put there, with the same prefix and DESTDIR
	$(call install_files,uninstall)

.PHONY: deb
deb: ## Build the Debian package into build/deb, and ask lintian
	@scripts/packages.sh $(APT_BUILD) $(APT_DEB)
	@rm -rf build/deb
	@APT_BUILD='$(APT_BUILD)' scripts/deb.sh build/deb

.PHONY: deb-test
deb-test: ## Install, run, upgrade and purge the package of make deb in a clean chroot: root, 3 minutes
	@scripts/packages.sh $(APT_BUILD) $(APT_DEB) debootstrap
	@[ -e build/deb ] || $(MAKE) --no-print-directory deb
	@$(MAKE) --no-print-directory -s -j$(JOBS) $(BUILD)/tests/make_gguf
	@MAKE_GGUF=$(BUILD)/tests/make_gguf tests/deb/chroot.sh build/deb

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: clean
clean: ## Remove what was built
	rm -rf build

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'
