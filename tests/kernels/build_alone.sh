#!/bin/sh
# build_alone.sh COMPILER TOOLCHAIN FOLDER [CMAKE-OPTION...]: builds the tests of kernels and gradients
# for another processor in FOLDER; 77 (skipped) without the compiler.
command -v "$1" >/dev/null || exit 77
toolchain=$2 folder=$3
shift 3
cmake -S tests/kernels/alone -B "$folder" -DCMAKE_TOOLCHAIN_FILE="$toolchain" "$@" &&
    cmake --build "$folder" --target test_kernels test_gradient_bits
