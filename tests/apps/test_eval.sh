#!/bin/sh
# eval: metrics of a model on its own answers, limits, wrong rows.
. "$(dirname "$0")/common.sh"
cp "$data/tiny/a.png" "$work/a.png"
run run -q -n 6 -m "$model" "$picture" 'caption en' --json
text=$(sed -n 's/^{"text":\("\([^"\\]\|\\.\)*"\).*/\1/p' "$work/out")
cat >"$work/rows.jsonl" <<TXT
{"image": "a.png", "prefix": "caption en", "suffix": ["not this", $text]}
{"image": ["a.png"], "prefix": "answer en how many?", "suffix": "surely not this answer"}

{"image": "a.png", "prefix": "detect cat", "suffix": "<loc0000><loc0000><loc0500><loc0500> cat"}
TXT

run eval -m "$model" --max-tokens 6 --likelihood --predictions "$work/out.jsonl" --json "$work/rows.jsonl"
expect_ok
expect_json rows=3 matches=1 kinds.caption.exact=1 kinds.answer.rows=1 boxes.truths=1 log_likelihood.tokens:number log_likelihood.per_token:number
[ "$(wc -l <"$work/out.jsonl")" = 3 ] || failed 'not a prediction a row'
tail -n 1 "$work/out.jsonl" >"$work/out"
expect_json row=4 'prefix=detect cat' prediction:text tokens:list objects:list finish_reason:text exact:false log_likelihood:number

# Expected masks without a codec to make any of what is found: the figures are there, and why.
printf '{"image": "a.png", "prefix": "segment cat", "suffix": "<loc0000><loc0000><loc0500><loc0500> cat", "mask": [[0, 0, 9, 0, 9, 9]]}\n' >"$work/masks.jsonl"
run eval -m "$data/tiny/pg1" -n 6 --json "$work/masks.jsonl"
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_json masks.truths=1 masks.mean_iou=0
expect_err 'the model has no mask codec'
run eval -m "$data/tiny/pg1" --codec "$model/vae-oid.npz" -n 6 --json "$work/masks.jsonl"
expect_ok

# A calibration is fitted by eval and read by run; not from too few rows, nor for another model.
run eval -m "$model" -n 6 --fit-calibration "$work/curves.json" "$work/rows.jsonl"
expect_error 4 'curves.json: not written: found'
[ ! -e "$work/curves.json" ] || failed 'a calibration of three rows was written'
here=$(cd "$data/nano" && pwd) # every third row that detects is told that nothing is there, so that enough is wrong
awk -v here="$here/" '!/"segment/ { sub(/"image": "/, "&" here); if (/"detect/ && n++ % 3 == 0) sub(/"suffix": ".*"/, "\"suffix\": \"\""); print }' "$data/nano/rows.jsonl" >"$work/many.jsonl"
run eval -m "$model" --batch 16 --fit-calibration "$work/curves.json" --json "$work/many.jsonl"
expect_ok
expect_json calibration.boxes.samples:number calibration.boxes.points:number reliability.boxes.ece:number reliability.text.brier:number boxes.ap:number
run eval -m "$data/tiny/pg1" --calibration "$work/curves.json" "$work/rows.jsonl"
expect_error 3 'curves.json: fitted on a paligemma of'
run eval -m "$model" --limit 30 --calibration "$work/curves.json" --json "$data/nano/rows.jsonl"
expect_json reliability.boxes_calibrated.ece:number
run run -m "$model" --calibration "$work/curves.json" --json "$data/nano/000000.jpg" 'detect heart'
expect_ok
expect_json objects:list confidence:number
run run -m "$model" --calibration "$work/rows.jsonl" "$data/nano/000000.jpg" 'detect heart'
expect_error 3 'rows.jsonl: '
run eval -m "$model" --no-confidence --fit-calibration "$work/other.json" "$work/rows.jsonl"
expect_error 2 'found both fit_calibration and no_confidence'

mkdir "$work/sub"
run eval -m "$model" --predictions "$work/sub/../rows.jsonl" "$work/rows.jsonl"
expect_error 2 'rows.jsonl: is the file of the rows'
[ "$(wc -l <"$work/rows.jsonl")" = 4 ] || failed 'the rows were overwritten'
if (ulimit -f 0) 2>/dev/null; then # files may not grow: what was begun is taken away
    about='eval with a limit on the size of files'
    code=0
    (ulimit -f 0 && "$pali" eval -q -m "$model" -n 6 --predictions "$work/sub/new.jsonl" "$work/rows.jsonl" 2>&1 </dev/null) | cat >"$work/err" || code=$?
    expect_err 'new.jsonl: cannot write'
    [ -z "$(ls "$work/sub")" ] || failed 'a part of the predictions was left'
fi

run eval -m "$model" -n 6 "$work/rows.jsonl"
expect_ok
expect_out caption
expect_out 'mean iou'
run eval -q -m "$model" -n 6 --beam 2 --json "$work/rows.jsonl"
expect_ok
expect_json rows=3
run eval -m "$model" --limit 1 -n 6 --json "$work/rows.jsonl"
expect_json rows=1 exact=1

echo '{"image": "none.png", "prefix": "a", "suffix": "b"}' >>"$work/rows.jsonl"
run eval -m "$model" --predictions "$work/new.jsonl" "$work/rows.jsonl"
expect_error 4 "$work/rows.jsonl:5: "
[ ! -e "$work/new.jsonl" ] || failed 'predictions were written'
run eval -m "$model" "$work/none.jsonl"
expect_error 4 "$work/none.jsonl"
run eval -m no/such/model "$work/rows.jsonl"
expect_error 3 no/such/model
finish
