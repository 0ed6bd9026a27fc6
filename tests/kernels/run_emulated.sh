#!/bin/sh
# run_emulated.sh QEMU CPU LEVEL PROGRAM: the kernel tests on an emulated
# processor whose best level must be LEVEL, that level's own kernels only; 77
# (skipped) without the emulator or the program.
# QEMU 7.2 reads all of a vector for AVX2's masked loads, hence the slack.
command -v "$1" >/dev/null && [ -x "$4" ] || exit 77
PALI_TEST_SLACK=32 PALI_TEST_LEVEL="$3" exec "$1" -cpu "$2" "$4"
