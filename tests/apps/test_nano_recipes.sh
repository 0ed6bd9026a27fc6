#!/bin/sh
# nano from nothing, the whole way that tools/nano/train.sh goes, in two steps each: codec, rows, tower, answers, a folder that answers.
# usage: test_nano_recipes.sh PALI CHECK_JSON DATA MODEL SCENES
. "$(dirname "$0")/common.sh"
scenes=$5
PALI_THREADS=2

"$scenes" --segment --train "$work/rows" --codec "$model/vae-oid.npz" --count 10 || exit 1
"$scenes" --segment --train "$work/again" --codec "$model/vae-oid.npz" --count 10 || exit 1
for name in both questions patches; do
    cmp "$work/rows/$name.jsonl" "$work/again/$name.jsonl" || exit 1
done
expect_equal 'rows of questions' "$(wc -l <"$work/rows/questions.jsonl")" 40
expect_equal 'rows of patches' "$(wc -l <"$work/rows/patches.jsonl")" 40
grep -q '"segment .*"suffix": "\(<loc....>\)\{4\}\(<seg...>\)\{16\} ' "$work/rows/questions.jsonl" || exit 1

"$scenes" --segment --out "$work/masks" --count 4 || exit 1
run train recipes/nano/codec.yaml codec="$work/codec.npz" data="$work/masks/rows.jsonl" steps=2 batch=4 threads=2
[ "$code" = 0 ] || failed 'the codec is not taught'
run data show model="$model" data="$work/rows/patches.jsonl" --limit 1
expect_ok
expect_out '64 image + '

few="batch=10 micro_batch=10 steps=2 samples=0 threads=2 report=false"
# shellcheck disable=SC2086
run train recipes/nano/tower.yaml data="$work/rows/patches.jsonl" out="$work/tower" $few
[ "$code" = 0 ] || failed 'the tower is not taught'
# shellcheck disable=SC2086
run train recipes/nano/answers.yaml model="$work/tower/last" data="$work/rows/both.jsonl" validation="$work/rows/questions.jsonl" out="$work/answers" $few
[ "$code" = 0 ] || failed 'answers are not taught'
# shellcheck disable=SC2086
run train recipes/nano/finish.yaml model="$work/answers/last" data="$work/rows/questions.jsonl" validation="$work/rows/questions.jsonl" out="$work/finish" $few
[ "$code" = 0 ] || failed 'questions alone are not taught'
run convert "$work/finish/last" "$work/nano" --to hf --type bf16
[ "$code" = 0 ] || failed 'what was taught is not converted'
run run -m "$work/nano" -n 3 "$picture" 'caption en'
[ "$code" = 0 ] || failed 'what was taught does not answer'
finish
