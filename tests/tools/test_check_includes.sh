#!/bin/sh
# Feeds tools/check_includes.sh small trees: a good one, then one with a single
# violation of each rule, which must be named by file and line.
set -eu
check=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

put() { # FILE LINE...
    mkdir -p "$tree/$(dirname "$1")"
    file=$1
    shift
    printf '%s\n' "$@" >"$tree/$file"
}

good_tree() {
    rm -rf "${tree:?}"/*
    put include/pali/pali.h '#include <pali/status.h>' '#include <stdint.h>'
    put src/base/text.c '#include "base/text.h"' '#include <sys/stat.h>' '/* not #include "api/x.h" */'
    put src/kernels/x86/gemm.c '#include "kernels/kernels.h"' '#include "gemm.h"' '#include "tensor/dtype.h"'
    put src/formats/gguf.c '#include "tensor/tensor.h"' '#include <jansson.h>'
    put src/language/gemma.c '#  include "ops/ops.h"' '#include "image/image.h"' '#include <pali/pali.h>'
    put src/eval/boxes.c '#include "generate/generate.h"'
    put apps/pali/main.c '#include "options.h"' '#include <pali/pali.h>'
    put apps/pali/bench_model.c '#include "bench.h"' '#include "generate/timeline.h"'
    put examples/ask.c '#include <pali/pali.h>'
}

expect_success() {
    sh "$check" "$tree" >"$tree/out" 2>&1 || {
        echo "a good tree was refused:"
        cat "$tree/out"
        failures=$((failures + 1))
    }
}

refuse() { # FILE INCLUDE: the line is put third
    good_tree
    put "$1" '/* first */' '' "$2"
    if sh "$check" "$tree" >"$tree/out" 2>&1; then
        echo "accepted in $1: $2"
        failures=$((failures + 1))
    elif [ "$(wc -l <"$tree/out")" -ne 1 ] || ! grep -q "^$1:3: " "$tree/out"; then
        echo "expected one line beginning with $1:3: , found:"
        cat "$tree/out"
        failures=$((failures + 1))
    fi
}

good_tree
expect_success
refuse src/base/text.c '#include "tensor/tensor.h"'
refuse src/base/text.c ' # include "api/api.h"'
refuse src/kernels/ref/gemm.c '#include "ops/ops.h"'
refuse src/formats/gguf.c '#include "ops/ops.h"'
refuse src/ops/cpu/linear.c '#include "formats/gguf.h"'
refuse src/image/decode.c '#include <vision/siglip.h>'
refuse src/vision/siglip.c '#include "language/gemma.h"'
refuse src/train/loop.c '#include "eval/boxes.h"'
refuse src/eval/boxes.c '#include "train/loop.h"'
refuse src/model/load.c '#include "../formats/gguf.h"'
refuse src/model/load.c '#include "elsewhere/gguf.h"'
refuse apps/pali/run.c '#include "model/load.h"'
refuse apps/pali/workbench.c '#include "model/load.h"'
refuse apps/pali/bench/deep.c '#include "model/load.h"'
refuse examples/ask.c '#include <base/status.h>'
refuse include/pali/pali.h '#include "status.h"'

good_tree
put src/attic/old.c 'int x;'
if sh "$check" "$tree" >"$tree/out" 2>&1; then
    echo "accepted a room that is not in the order"
    failures=$((failures + 1))
fi
[ "$failures" -eq 0 ]
