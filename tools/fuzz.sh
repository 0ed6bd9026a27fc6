#!/bin/sh
# fuzz.sh [-t SECONDS | -n RUNS] [NAME...]: builds the fuzz preset (clang) and
# runs each target, or those named, from the committed seeds: the folder
# tests/fuzz/seeds/NAME, or the files named in tests/fuzz/seeds/NAME.txt. What it
# learns stays in build/fuzz/corpus, what breaks a target in build/fuzz/found.
set -eu
cd "$(dirname "$0")/.."

limit=-max_total_time=60
while getopts t:n: option; do
    case $option in
        t) limit=-max_total_time=$OPTARG ;;
        n) limit=-runs=$OPTARG ;;
        *) sed -n 's/^# fuzz.sh/usage: fuzz.sh/p' "$0" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzzers -j "$(getconf _NPROCESSORS_ONLN)" >/dev/null
programs=build/fuzz/tests/fuzz
# shellcheck disable=SC2046 # a name a word
[ $# -gt 0 ] || set -- $(find $programs -maxdepth 1 -type f -name 'fuzz_*' -perm -u+x | sed 's|.*/fuzz_||' | sort)
[ $# -gt 0 ] || { echo "fuzz: no target in $programs" >&2; exit 1; }

failed=
mkdir -p build/fuzz/found
for name in "$@"; do
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    seeds=
    [ ! -d "tests/fuzz/seeds/$name" ] || seeds=tests/fuzz/seeds/$name
    if [ -f "tests/fuzz/seeds/$name.txt" ]; then
        # shellcheck disable=SC2046 # a pattern a line
        cp $(cat "tests/fuzz/seeds/$name.txt") "$corpus"
    fi
    echo "fuzz: $name"
    # shellcheck disable=SC2086 # none or one
    "$programs/fuzz_$name" $limit -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "-artifact_prefix=build/fuzz/found/$name-" "$corpus" $seeds >"build/fuzz/$name.log" 2>&1 ||
        { failed="$failed $name"; tail -n 40 "build/fuzz/$name.log"; }
    grep -E 'number_of_executed_units|^Done' "build/fuzz/$name.log" || true
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed; inputs in build/fuzz/found" >&2; exit 1; }
