#!/bin/sh
# train and what can be wrong with its rows, its numbers and its folder: a clear
# line each, and nothing lost. (What can be wrong with a recipe: test_train.sh.)
. "$(dirname "$0")/common.sh"
here=$(pwd)
pair() { # IMAGE SUFFIX
    printf '{"image": "%s", "prefix": "caption en", "suffix": "%s"}\n' "$1" "$2"
}
for i in 1 2 3 4 5 6; do pair "$here/$data/tiny/a.png" "cats $i"; done >"$work/rows.jsonl"
teach() { # OUT SETTINGS...
    out=$1
    shift
    run train model="$data/tiny/pg1" out="$work/$out" samples=0 batch=4 --quiet "$@"
}
worked() {
    [ "$code" = 0 ] || failed "exit code $code, expected 0"
}
# refused CODE WORDS: ended with the code, and words on standard error; steps may have been told of.
refused() {
    [ "$code" = "$1" ] || failed "exit code $code, expected $1"
    expect_err "$2"
}

# Rows without a picture, without an answer, and that are no JSON: stopped at, or passed over.
cp "$work/rows.jsonl" "$work/bad.jsonl"
{ pair none.png y; echo "{\"image\": \"$here/$data/tiny/a.png\", \"prefix\": \"x\"}"; echo 'not json'; } >>"$work/bad.jsonl"
teach stop data="$work/bad.jsonl" steps=6
refused 4 "bad.jsonl:7: "
expect_err "none.png: cannot open"
expect_err '3 of 9 rows cannot be used; on_bad_row=skip'
[ ! -s "$work/stop/metrics.csv" ] || failed 'a row that can be told beforehand is found in the run'
teach skip data="$work/bad.jsonl" steps=6 on_bad_row=skip
worked
grep -q '9 rows, of which 3 cannot be used' "$work/out" || failed 'unusable rows are not told of'
expect_err 'bad.jsonl:7: '
expect_err "none.png: cannot open"
expect_err "bad.jsonl:8: field 'suffix': found nothing"
expect_err 'bad.jsonl:9: '
printf 'not json\n' >"$work/none.jsonl"
teach none data="$work/none.jsonl" steps=2 on_bad_row=skip
refused 4 'none.jsonl'

# One that is met in the run ends it too, but what was learned before is kept, and can be gone on with.
echo 'no picture' >"$work/text.png"
{ cat "$work/rows.jsonl"; pair text.png y; } >"$work/met.jsonl"
teach met data="$work/met.jsonl" steps=6 shuffle=false
refused 4 'text.png: '
[ -d "$work/met/checkpoint-1" ] || failed 'the step before an unusable row is lost'
teach met data="$work/met.jsonl" steps=6 shuffle=false on_bad_row=skip
worked
grep -q 'step 6: saved' "$work/out" || failed 'it does not go on'

# A folder that cannot be made: the reason is that of making it, not of looking for it.
ln -s nowhere "$work/dangling"
teach dangling data="$work/rows.jsonl" steps=2
refused 1 'dangling: cannot make the folder: File exists'

# A loss that is no number ends the run, names rows, and leaves the last checkpoints.
teach nan data="$work/rows.jsonl" steps=20 save_every=1 lr=1000 optimizer=sgd clip=0 warmup=0 schedule=constant
refused 1 'rows.jsonl:'
grep -q 'not a number\|not finite' "$work/err" || failed 'it does not say why'
run inspect "$work/nan/last"
worked

# So is a held-out one, of its own file.
cp "$work/rows.jsonl" "$work/held.jsonl"
teach held data="$work/rows.jsonl" validation="$work/held.jsonl" steps=20 eval_every=1 lr=1000 optimizer=sgd clip=0 warmup=0 schedule=constant
refused 1 'held.jsonl:1, '

# Held-out rows that cannot be used are told of, once.
{ pair none.png y; cat "$work/rows.jsonl"; } >"$work/held.jsonl"
teach passed data="$work/rows.jsonl" validation="$work/held.jsonl" steps=4 eval_every=1
worked
[ "$(grep -c 'held.jsonl:1: ' "$work/err")" = 1 ] || failed 'a held-out row is told of more than once, or not'

# A tokenizer is named as a model is.
if [ "$model" = models/nano ]; then
    run data show model="$model" tokenizer=nano data="$work/rows.jsonl" --limit 1
    worked
    run data show model="$model" tokenizer=no-such data="$work/rows.jsonl" --limit 1
    refused 3 'no-such: no such file or folder'
fi

# Pictures are encoded though no row that is learned from has one.
printf '{"prefix": "x", "suffix": "y"}\n' >"$work/text.jsonl"
run train model="$model" out="$work/text" samples=0 batch=1 data="$work/text.jsonl" validation="$work/rows.jsonl" pictures=optional freeze=vision steps=1 --quiet
worked

# Rows that are fewer, or others, than when the run was begun.
teach changed data="$work/rows.jsonl" steps=4
worked
cp "$work/rows.jsonl" "$work/all.jsonl"
head -n 4 "$work/all.jsonl" >"$work/rows.jsonl"
teach changed data="$work/rows.jsonl" steps=4
refused 4 'rows.jsonl'
sed 's/cats 2/dogs/' "$work/all.jsonl" >"$work/rows.jsonl"
teach changed data="$work/rows.jsonl" steps=4
refused 4 'rows.jsonl'
cp "$work/all.jsonl" "$work/rows.jsonl"
teach changed data="$work/rows.jsonl" steps=4
worked

# Another recipe; a folder that holds a run, or none; too little memory.
teach changed data="$work/rows.jsonl" steps=4 lr=0.5
refused 2 'lr: 1e-05 -> 0.5'
teach changed data="$work/rows.jsonl" steps=4 resume=never
refused 2 'found a run'
teach empty data="$work/rows.jsonl" steps=4 resume=must
refused 4 'found no checkpoint'
teach small data="$work/rows.jsonl" steps=4 max_memory=1MB
refused 5 'max_memory'

# A run that is to be replaced stays until the new one begins.
run train model="$work/none" out="$work/changed" data="$work/rows.jsonl" resume=never force=true --quiet
refused 3 'none'
run inspect "$work/changed/last"
worked
grep -q '^steps: 4$' "$work/changed/recipe.yaml" || failed 'the recipe is not with the run'
teach changed data="$work/rows.jsonl" steps=2 micro_batch=2 resume=never force=true
worked
[ ! -e "$work/changed/checkpoint-4" ] || failed 'a run that was replaced is still there'
# What computes together is the old run's, unless it is said otherwise.
run train model="$data/tiny/pg1" out="$work/changed" data="$work/rows.jsonl" batch=4 steps=4 force=true --dry-run
expect_out 'steps     4 of 4 examples, 2 at a time'
run train model="$data/tiny/pg1" out="$work/changed" data="$work/rows.jsonl" batch=4 steps=4 micro_batch=1 force=true --dry-run
expect_out 'steps     4 of 4 examples, 1 at a time'

# Links of a run that was killed between a checkpoint and them.
ln -sfn checkpoint-0 "$work/changed/last"
teach changed data="$work/rows.jsonl" steps=2 micro_batch=2
worked
run inspect "$work/changed/last"
worked

# A checkpoint that was damaged is passed over for the one before it.
teach damaged data="$work/rows.jsonl" steps=4 save_every=2
worked
printf 'x' | dd of="$work/damaged/checkpoint-4/state/tensors.safetensors" bs=1 seek=400 conv=notrunc 2>/dev/null
teach damaged data="$work/rows.jsonl" steps=4 save_every=2
worked
expect_err 'checkpoint-4'
finish
