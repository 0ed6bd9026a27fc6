#!/bin/sh
# nano from nothing, the whole way that tools/nano/train.sh goes, in two steps each: rows, codec, tower, answers, a folder that answers.
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

run data show model="$model" data="$work/rows/patches.jsonl" --limit 1
expect_ok
expect_out '64 image + '

# The script itself, a second time where it was stopped before its last run.
nano() {
    PALI=$(realpath "$pali") SCENES=$(realpath "$scenes") STEPS=2 PICTURES=24 MASKED=4 TEST=2 PALI_THREADS=2 sh tools/nano/train.sh "$work/nano" >"$work/out" 2>"$work/err"
}
about='tools/nano/train.sh'
nano || failed 'nano is not taught'
expect_equal 'parts that it took' "$(cut -d: -f1 "$work/nano/times.txt" | tr '\n' ' ')" 'masks test codec parts tower answers finish again choose several more '
rm -r "$work/nano/more" "$work/nano/more.done" "$work/nano/nano"
nano || failed 'what was left is not done'
expect_equal 'parts that it took, again' "$(wc -l <"$work/nano/times.txt")" 12
[ -s "$work/nano/nano/vae-oid.npz" ] || failed 'nano has no mask codec'
expect_equal 'kinds of question with a score' "$(grep -c ' rows' "$work/nano/scores.txt")" 9
run run -m "$work/nano/nano" -n 3 "$picture" 'caption en'
[ "$code" = 0 ] || failed 'what was taught does not answer'
finish
