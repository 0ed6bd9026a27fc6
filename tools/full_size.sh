#!/bin/sh
# Runs checkpoints of full size with random weights: load time, stages, peak memory. The answers mean nothing; the
# times and the memory are those of the released models, whose shapes these are. Needs 6 GB of disk for each shape and
# a tokenizer with at most 257,216 pieces.
# usage: tools/full_size.sh BUILD_FOLDER TOKENIZER_FOLDER [SHAPE...]
set -eu
build=${1:?usage: tools/full_size.sh BUILD_FOLDER TOKENIZER_FOLDER [SHAPE...]}
tokenizer=${2:?usage: tools/full_size.sh BUILD_FOLDER TOKENIZER_FOLDER [SHAPE...]}
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
work=${PALI_FULL_SIZE:-${TMPDIR:-/tmp}/pali-full-size}
mkdir -p "$work"

# One number of a JSON object on one line.
field() {
    printf '%s\n' "$2" | sed -n "s/.*\"$1\": *\\([0-9.eE+-]*\\).*/\\1/p"
}

printf '%-22s %8s %8s %8s %10s %12s %14s\n' shape load encode prefill 'a token' 'peak memory' 'over weights'
for shape in "${@:-paligemma-3b-224}"; do
    folder=$work/$shape
    [ -d "$folder" ] || "$build/tools/pali-random-checkpoint" "$shape" "$folder" --tokenizer "$tokenizer" >/dev/null
    cat "$folder"/*.safetensors >/dev/null # into the page cache: what is timed is a warm start
    json=$("$build/apps/pali" run --quiet --json -m "$folder" --max-tokens 9 "$root/tests/data/tiny/a.png" 'describe this image in detail, please' 2>/dev/null)
    bytes=$("$build/apps/pali" inspect --json "$folder" | sed -n 's/^  "bytes": *\([0-9]*\).*/\1/p')
    printf '%s %s %s %s %s %s %s\n' "$shape" "$(field load "$json")" "$(field encode "$json")" "$(field prefill "$json")" \
        "$(field decode "$json")" "$(field peak_memory_bytes "$json")" "$bytes" |
        awk '{ printf "%-22s %7.2fs %7.2fs %7.2fs %8.0fms %9.0f MB %11.0f MB\n", $1, $2, $3, $4, $5 / 8 * 1000, $6 / 1e6, ($6 - $7) / 1e6 }'
done
