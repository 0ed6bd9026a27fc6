#!/bin/sh
# train and data: recipes, a dry run, a short run, its files, going on, and what is refused.
. "$(dirname "$0")/common.sh"

rows=$work/rows.jsonl
for i in 1 2 3 4 5 6 7 8; do
    echo '{"image": "a.png", "prefix": "caption en", "suffix": "a red square '$i'"}'
    echo '{"image": ["b.png"], "prefix": "answer en how many?", "suffix": ["'$i'", "one"]}'
done >"$rows"
images=$(cd "$data/tiny" && pwd)

# What a recipe is.
run train --keys
expect_ok
expect_out 'lora.rank=0..4096'
expect_out 'schedule=cosine|rsqrt|linear|constant'
run train
expect_error 2 'a recipe is missing'
run train one.yaml two.yaml
expect_error 2 "found 'two.yaml' after the recipe 'one.yaml'"
run train lr=1 one.yaml
expect_error 2 'a recipe comes before them'
run train no-such.yaml
expect_error 4 'no-such.yaml'
run train lr=fast
expect_error 2 "argument 'lr=fast': lr: found 'fast', expected a number from 0 to 1000"
printf 'model: m\ndata: d\nlora:\n  rnak: 8\n' >"$work/bad.yaml"
run train "$work/bad.yaml"
expect_error 2 "bad.yaml:4:3: unknown key 'lora.rnak', did you mean lora.rank?"
run train model=no-such-model data="$rows" out="$work/none" --quiet
expect_error 3 'no-such-model'
run train model="$model" data="$work/none.jsonl" out="$work/none" --quiet
expect_error 4 'none.jsonl'

cat >"$work/recipe.yaml" <<END
model: $(cd "$model" && pwd)
data: rows.jsonl
images: $images
steps: 4
batch: 4
lr: 1e-3
text_length: 32
log_every: 1
samples: 1
END

# A dry run tells all, writes nothing, and its recipe reads back.
run train "$work/recipe.yaml" --dry-run lora.rank=2
expect_ok
expect_out 'lr: 0.001'
expect_out '  rank: 2'
expect_out "path: $(cd "$work" && pwd -P)/rows.jsonl"
expect_out ' a checkpoint, '
sed -n '/^# Model/,/^codec:/p' "$work/out" >"$work/resolved.yaml"
run train "$work/resolved.yaml" --dry-run
expect_ok
sed -n '/^# Model/,/^codec:/p' "$work/out" | cmp -s - "$work/resolved.yaml" || failed 'the resolved recipe is not what it resolves to'
run train "$work/recipe.yaml" --dry-run --json
expect_ok
expect_json event=plan plan.steps=4 plan.batch=4

# Rows as the model sees them.
run data
expect_error 2 'what to do is missing'
run data look
expect_error 2 "found 'look', expected show"
run data show
expect_error 2 'a recipe is missing'
run data show "$work/recipe.yaml" --limit 2
expect_ok
expect_out 'a.png'
run data show "$work/recipe.yaml" --limit 1 --json shuffle=false
expect_ok
expect_json
run data show "$work/recipe.yaml" --first 100
expect_error 2 'expected less than 16'

# A run, and what it leaves.
run train "$work/recipe.yaml" out="$work/run" lora.rank=2 validation="$rows"
[ "$code" = 0 ] || failed "exit code $code"
expect_out 'step 4 of 4: loss '
expect_out 'held-out loss'
for file in last/adapter_model.safetensors last/adapter_config.json best metrics.csv report.html; do
    [ -e "$work/run/$file" ] || failed "$file is missing"
done
run run -m "$model" --lora "$work/run/last" "$picture" 'caption en' -n 4 --quiet
[ "$code" = 0 ] || failed 'the adapter does not run'

# Again: nothing is left to do. With another recipe: the difference is told, and refused.
run train "$work/recipe.yaml" out="$work/run" lora.rank=2 validation="$rows" --quiet
[ "$code" = 0 ] || failed "exit code $code"
run train "$work/recipe.yaml" out="$work/run" lora.rank=2 validation="$rows" lr=0.5 --quiet
expect_error 2 'lr: 0.001 -> 0.5'
# The same rows may lie elsewhere by then, others not.
cp "$work/rows.jsonl" "$work/moved.jsonl"
run train "$work/recipe.yaml" out="$work/run" lora.rank=2 data="$work/moved.jsonl" --quiet
[ "$code" = 0 ] || failed "exit code $code"
head -n 3 "$work/rows.jsonl" >"$work/moved.jsonl"
run train "$work/recipe.yaml" out="$work/run" lora.rank=2 data="$work/moved.jsonl" --quiet
expect_error 4 'moved.jsonl: the file has changed since the run was saved'

# Weights that a disk has damaged since are not taken for whole: the run goes on from the checkpoint before.
run train "$work/recipe.yaml" out="$work/damaged" lora.rank=2 save_every=2 --quiet
[ "$code" = 0 ] || failed "exit code $code"
cp "$work/damaged/last/adapter_model.safetensors" "$work/before.safetensors"
printf 'xxxx' | dd of="$work/damaged/checkpoint-4/adapter_model.safetensors" bs=1 seek=2000 conv=notrunc 2>/dev/null
run train "$work/recipe.yaml" out="$work/damaged" lora.rank=2 save_every=2
[ "$code" = 0 ] || failed "exit code $code"
expect_err 'adapter_model.safetensors: found checksum'
expect_err 'damaged/checkpoint-2'
cmp -s "$work/before.safetensors" "$work/damaged/last/adapter_model.safetensors" || failed 'what was damaged is not made again'

# Interrupted and gone on with, the whole model: the same bits as in one go. By SIGTERM: a shell starts what is in the
# background with SIGINT ignored, and pali leaves it so.
run train "$work/recipe.yaml" out="$work/whole" --quiet
[ "$code" = 0 ] || failed "exit code $code"
: >"$work/out" # before it is looked at
"$pali" train "$work/recipe.yaml" out="$work/parts" --quiet >"$work/out" 2>"$work/err" &
started=$!
until grep -q 'step 1 of' "$work/out" || ! kill -0 $started 2>/dev/null; do sleep 0.02; done
kill -TERM $started 2>/dev/null
code=0
wait $started || code=$?
case $code in
    130) expect_err 'the same command goes on' ;;
    0) ;; # it was faster
    *) failed "exit code $code after an interruption" ;;
esac
run train "$work/recipe.yaml" out="$work/parts" --quiet
[ "$code" = 0 ] || failed "exit code $code"
cmp -s "$work/whole/last/model.safetensors" "$work/parts/last/model.safetensors" || failed 'a run in two parts ended with other bits'
run run -m "$work/whole/last" "$picture" 'caption en' -n 4 --quiet
[ "$code" = 0 ] || failed 'the checkpoint does not run'

# The mask codec, by the same command.
run train codec="$work/codec.npz" data="$data/nano/rows.jsonl" steps=2 batch=4 log_every=1
[ "$code" = 0 ] || failed "exit code $code"
expect_out 'step 2 of 2: loss '
[ -s "$work/codec.npz" ] || failed 'there is no codec'
run train codec="$work/codec.npz" data="$data/nano/rows.jsonl" model="$model"
expect_error 2 'codec is given with a model'

# JSON: an object a line, the plan first.
run train "$work/recipe.yaml" out="$work/objects" steps=2 --json --quiet
[ "$code" = 0 ] || failed "exit code $code"
head -n 1 "$work/out" >"$work/line"
mv "$work/line" "$work/out"
expect_json event=plan plan.steps=2

# The mask codec: in one go, and killed and gone on with; the file is a codec.
i=0
while [ $i -lt 24 ]; do
    echo "{\"width\": 64, \"height\": 64, \"mask\": [[$i, 2, $((i + 30)), $i, 40, 60, 3, $((60 - i))]]}"
    i=$((i + 1))
done >"$work/masks.jsonl"
set -- data="$work/masks.jsonl" steps=30 batch=16 warmup=5 'codec_widths=[4, 4, 6, 8, 6]' save_every=3 seed=1
run train codec="$work/whole.npz" out="$work/whole.run" "$@" validation="$work/masks.jsonl" --quiet
[ "$code" = 0 ] || failed "exit code $code"
expect_out 'step 30 of 30: loss'
expect_out 'held-out loss'
"$pali" train codec="$work/parts.npz" out="$work/parts.run" "$@" validation="$work/masks.jsonl" --quiet >"$work/out" 2>"$work/err" &
started=$!
until grep -q 'saved' "$work/out" || ! kill -0 $started 2>/dev/null; do sleep 0.02; done
kill -KILL $started 2>/dev/null || true
wait $started 2>/dev/null || true
run train codec="$work/parts.npz" out="$work/parts.run" "$@" validation="$work/masks.jsonl" --threads 1 --quiet
[ "$code" = 0 ] || failed "exit code $code"
cmp -s "$work/whole.npz" "$work/parts.npz" || failed 'a codec taught in two parts ended with other bits'
for run in whole parts; do # but for what tells of time
    cut -d, -f1-9 "$work/$run.run/metrics.csv" >"$work/$run.csv"
done
[ "$(wc -l <"$work/whole.csv")" = 4 ] || failed 'three rows of ten steps each were expected in metrics.csv'
cmp -s "$work/whole.csv" "$work/parts.csv" || failed 'a codec taught in two parts left other rows'
grep -q 'finished' "$work/whole.run/report.html" || failed 'the report does not say that the run is finished'
[ "$(grep -c '<dt>Score</dt>.*overlap (IoU)' "$work/whole.run/report.html")" = 8 ] || failed 'the report does not show eight masks'
run train codec="$work/new.npz" out="$work/whole" "$@" --quiet
expect_error 2 'found the run of a model'
[ ! -e "$work/new.npz" ] || failed 'a codec was written although its folder is taken'
cp "$work/whole.npz" "$work/kept.npz" # killed after the last state, before the file
rm "$work/whole.npz"
run train codec="$work/whole.npz" out="$work/whole.run" "$@" validation="$work/masks.jsonl" --quiet
[ "$code" = 0 ] || failed "exit code $code"
cmp -s "$work/whole.npz" "$work/kept.npz" || failed 'a finished codec is not written again'
[ "$(wc -l <"$work/whole.run/metrics.csv")" = 4 ] || failed 'a finished run has other rows'
run train codec="$work/parts.npz" "$@" lr=1 --quiet
expect_error 2 'other settings or masks'
run train codec="$work/none.npz" data="$rows" --quiet
expect_error 4 'found no mask'
# Its folder is made, or is known not to be one, before anything is learned.
run train codec="$work/new/codec.npz" "$@" --quiet
[ "$code" = 0 ] && [ -s "$work/new/codec.npz" ] || failed "exit code $code, expected 0 and a file"
run train codec="$work/masks.jsonl/codec.npz" "$@" --quiet
expect_error 1 'masks.jsonl: cannot make the folder'
# What is there is not replaced unasked.
cp "$work/whole.npz" "$work/mine.npz"
run train codec="$work/mine.npz" "$@" --quiet
expect_error 2 'mine.npz: found a codec, expected no such file; force=true replaces it'
cmp -s "$work/whole.npz" "$work/mine.npz" || failed 'a codec was overwritten'
run train codec="$work/whole.npz" "$@" resume=never --quiet
expect_error 2 'found a codec'
run train codec="$work/mine.npz" out="$work/mine.run" "$@" steps=2 resume=never force=true --quiet
expect_error 2 'steps is given again'
run train codec="$work/mine.npz" out="$work/mine.run" data="$work/masks.jsonl" steps=2 batch=16 resume=never force=true --quiet
[ "$code" = 0 ] || failed "exit code $code"
grep -q '^force: false' "$work/mine.run/recipe.yaml" && grep -q '^resume: auto' "$work/mine.run/recipe.yaml" || failed 'what was asked for one start is kept'
run train codec="$work" "$@" --quiet
expect_error 2 'found a folder'
run train codec="$work/new.npz" out="$work/whole.run" "$@" --quiet
expect_error 2 'found the record of a run that teaches'
run train "$work/recipe.yaml" out="$work/whole.run" --quiet
expect_error 2 'found the record of a run that teaches the mask codec'
if command -v flock >/dev/null; then
    code=0
    flock "$work/whole.npz.lock" "$pali" train codec="$work/whole.npz" "$@" --quiet >"$work/out" 2>"$work/err" || code=$?
    expect_error 1 'another run is teaching it'
fi
# What means nothing is said to.
run train codec="$work/new.npz" "$@" optimizer=muon
expect_error 2 'convolutions are no matrices between layers'
run train codec="$work/new.npz" "$@" train=vision
expect_error 2 'train is given, but means nothing with codec'
run train codec="$work/new.npz" data="[{path: $work/masks.jsonl, repeat: 3}]"
expect_error 2 'repeat of a source is given, but means nothing with codec'
run train "$work/recipe.yaml" out="$work/silent" text_length=3 --quiet
expect_error 2 'no token of the answer is left'
# Threads: of the command, else of the recipe, else of the environment (here 1); a run keeps what the recipe says.
for case in '--threads 2:2' 'threads=2:2' ' :1' '--threads 2 threads=1:2'; do
    # shellcheck disable=SC2086
    run train "$work/recipe.yaml" out="$work/threads" resume=never force=true steps=1 ${case%:*} --quiet
    grep -q " kernels, ${case#*:} threads" "$work/threads/report.html" || failed "not ${case#*:} threads"
done
grep -q '^threads: 1' "$work/threads/recipe.yaml" || failed 'the threads of one start are kept'
finish
