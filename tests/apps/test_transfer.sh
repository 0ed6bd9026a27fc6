#!/bin/sh
# An adapter that `pali train` wrote answers the same live, merged into the weights, and in transformers with peft: ids of
# tests/data/nano/adapter/golden.jsonl, which tools/transfer/golden.py wrote.
. "$(dirname "$0")/common.sh"

adapter=$data/nano/adapter
golden=$adapter/golden.jsonl

# ids FILE: what was answered, row by row; the golden says "ids", pali "tokens" without the end.
ids() {
    sed -n 's/.*"\(ids\|tokens\)": *\[\([^]]*\)\].*/\2/p' "$1" | tr -d ' ' | sed 's/,1$//'
}

ids "$golden" >"$work/peft"
[ "$(wc -l <"$work/peft")" -ge 30 ] || { echo "$golden has less than 30 rows"; exit 1; }

# same_as_peft OUTPUT
same_as_peft() {
    ids "$1" >"$work/ours"
    cmp -s "$work/ours" "$work/peft" || { failed 'the answers are not those of peft'; diff "$work/ours" "$work/peft" | head; }
}

run batch -m "$model" --lora "$adapter" "$golden" "$work/live.jsonl" --quiet
[ "$code" = 0 ] || failed "exit code $code"
same_as_peft "$work/live.jsonl"

for target in merged merged.gguf; do
    run convert "$model" "$work/$target" --lora "$adapter" --merge --type f32 --quiet
    expect_ok
    run batch -m "$work/$target" "$golden" "$work/$target.jsonl" --quiet
    [ "$code" = 0 ] || failed "exit code $code"
    same_as_peft "$work/$target.jsonl"
done

# The adapter is what does it.
run batch -m "$model" "$golden" "$work/without.jsonl" --quiet
[ "$code" = 0 ] || failed "exit code $code"
ids "$work/without.jsonl" >"$work/ours"
! cmp -s "$work/ours" "$work/peft" || failed 'the model answers so without the adapter'
finish
