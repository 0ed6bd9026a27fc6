#!/bin/sh
# bench.sh BUILD: runs every benchmark program of a build folder.
set -eu
build=$1
found=
for program in "$build"/bench/bench_*; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then
        continue
    fi
    found=yes
    echo "# ${program##*/}"
    "$program"
done
[ -n "$found" ] || { echo "bench: no benchmark in $build/bench" >&2; exit 1; }
