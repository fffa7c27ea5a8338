# llmergefs: see README.md. `make` leaves ./llmergefs; `make help` lists the rest.

VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= cc
PKG := fuse3 libcjson libxxhash yaml-0.1

# SAN=address,undefined or SAN=thread: a build of its own under build/.
SAN ?=
B := build/$(if $(SAN),$(subst $(comma),-,$(SAN)),release)
comma := ,

OPT ?= -O2 -g
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wformat=2 -Wundef -Wvla -Wno-unused-parameter
# The same bits on every machine: no contraction, no reordering.
EXACT := -ffp-contract=off -fno-math-errno -fno-trapping-math
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-DLLMERGEFS_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PKG))
CFLAGS += -std=gnu11 $(OPT) $(WARN) $(EXACT) -pthread -fno-strict-aliasing \
	-fstack-protector-strong -MMD -MP \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
LDFLAGS += -pthread $(if $(SAN),-fsanitize=$(SAN))
LDLIBS += $(shell pkg-config --libs $(PKG)) -lm

# Kernels and methods are compiled once for each CPU level.
ifeq ($(shell uname -m),x86_64)
LEVELS := baseline avx2 avx512
else
LEVELS := baseline
endif
LEVEL_CFLAGS := -O3 -fno-math-errno
CFLAGS_baseline :=
CFLAGS_avx2 := -mavx2 -mfma -mf16c
CFLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma \
	-mf16c -mprefer-vector-width=512

LEVEL_SRC := core/kernels_tmpl.c $(wildcard core/methods/*.c)
LIB_SRC := $(wildcard core/base/*.c) \
	$(filter-out core/kernels_tmpl.c,$(wildcard core/*.c)) \
	$(wildcard cache/*.c) $(filter-out fs/main.c,$(wildcard fs/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) \
	$(foreach l,$(LEVELS),$(LEVEL_SRC:%.c=$B/%.$l.o))

PROGRAM := $(if $(SAN),$B/llmergefs,llmergefs)

all: $(PROGRAM)

$(PROGRAM): $B/fs/main.o $B/libllmergefs.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/libllmergefs.a: $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define level_rule
$B/%.$1.o: %.c Makefile
	@mkdir -p $$(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LEVEL_CFLAGS) $(CFLAGS_$1) -DCPU_LEVEL=$1 -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$l)))

# Unit tests: one cmocka program a file.
UNIT := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_HELP := $(patsubst %.c,$B/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

$B/tests/%: $B/tests/unit/%.o $(UNIT_HELP) $B/libllmergefs.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

clean:
	rm -rf build llmergefs

-include $(shell find build -name '*.d' 2>/dev/null)

.PHONY: all unit clean
.SECONDARY:
