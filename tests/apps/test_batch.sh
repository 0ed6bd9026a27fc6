#!/bin/sh
# batch: lines, exit codes, shards of launchers, going on, what is refused.
. "$(dirname "$0")/common.sh"
cp "$data/tiny/a.png" "$data/tiny/b.png" "$work"
cat >"$work/rows.jsonl" <<'TXT'
{"image": "a.png", "prompt": "caption en", "id": "first"}

{"image": ["a.png", "b.png"], "prefix": "ocr"}
{"image": "b.png"}
{"image": "b.png", "prompt": "caption en"}
{"image": "a.png", "prompt": "detect cat"}
TXT
out=$work/out.jsonl

run run -q -n 6 -m "$model" --json "$work/a.png" 'caption en'
text=$(sed -n 's/^{"text":\("\([^"\\]\|\\.\)*"\).*/\1/p' "$work/out")
run batch -m "$model" -n 6 -p 'answer en how many?' "$work/rows.jsonl" "$out"
expect_ok
[ ! -s "$work/out" ] || failed 'standard output is not empty'
expect_equal lines "$(wc -l <"$out")" 5
head -n 1 "$out" >"$work/out"
expect_json row=1 id=first tokens:list finish_reason:text objects:list 'prompt=caption en' 'images[1' images.0.path=a.png images.0.width=61 prompt_tokens:number
expect_out "\"text\":$text,"
sed -n 2p "$out" >"$work/out"
expect_json row=3 prompt=ocr 'images[2' images.1.path=b.png
sed -n 3p "$out" >"$work/out"
expect_json row=4 'prompt=answer en how many?'

# Again: done already. Other options: refused, until forced.
cp "$out" "$work/kept"
run batch -m "$model" -n 6 -p 'answer en how many?' "$work/rows.jsonl" "$out"
[ "$code" = 0 ] || failed 'exit code'
expect_err 'all 5 rows were there already'
run batch -m "$model" -n 5 -p 'answer en how many?' "$work/rows.jsonl" "$out"
expect_error 2 'options.max_tokens'
run batch -m "$model" -n 6 -p 'answer en how many?' --type q8_0 "$work/rows.jsonl" "$out"
expect_error 2 'settings.type'
cmp -s "$out" "$work/kept" || failed 'the output was changed'

# Going on after half a line; a report as JSON; without the default prompt a row fails, and the exit code says so.
head -c 300 "$work/kept" >"$out"
run batch -q -m "$model" -n 6 --batch 2 -p 'answer en how many?' --json "$work/rows.jsonl" "$out"
expect_ok
expect_json rows=5 done=5 resumed:number failed=0 seconds:number rows_per_second:number
cmp -s "$out" "$work/kept" || failed 'gone on with, the output differs'
run batch -m "$model" -n 6 --force "$work/rows.jsonl" "$out"
[ "$code" = 1 ] || failed 'exit code not 1'
expect_err '1 of 5 rows failed, the first in line 4'
sed -n 3p "$out" >"$work/out"
expect_json row=4 error.status=input error.message:text

# Shards, as an option and as launchers tell them; put together by row.
run batch -q -m "$model" -n 6 "$work/rows.jsonl" "$work/whole.jsonl"
for i in 1 2 3; do
    run batch -m "$model" -n 6 --shard $i/3 "$work/rows.jsonl" "$work/part-$i.jsonl"
done
sort -t: -k2n "$work"/part-?.jsonl >"$work/merged"
cmp -s "$work/merged" "$work/whole.jsonl" || failed 'shards put together are not the whole'
try_launcher() {
    launcher=$1
    shift
    for i in 0 1; do
        about="pali batch under $launcher, process $i"
        code=0
        env "$@" "$launcher=$i" "$pali" batch -m "$model" -n 6 "$work/rows.jsonl" "$work/$launcher.jsonl" >"$work/out" 2>"$work/err" || code=$?
        expect_err "shard $((i + 1)) of 2"
    done
    cat "$work/$launcher-1-of-2.jsonl" "$work/$launcher-2-of-2.jsonl" | sort -t: -k2n >"$work/merged"
    cmp -s "$work/merged" "$work/whole.jsonl" || failed 'its shards are not the whole'
    [ ! -e "$work/$launcher.jsonl" ] || failed 'the output without a number was made'
}
try_launcher OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE=2
try_launcher PMI_RANK PMI_SIZE=2
try_launcher SLURM_PROCID SLURM_NTASKS=2
try_launcher SLURM_PROCID SLURM_NTASKS=9 SLURM_STEP_NUM_TASKS=2 SLURM_JOB_ID=7 SLURM_STEP_ID=0
PMI_RANK=2 PMI_SIZE=2 run batch -m "$model" "$work/rows.jsonl" "$work/none.jsonl"
expect_error 2 PMI_RANK
# A batch script of Slurm's is one process, whatever it is going to start; and what is asked for is done.
SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_JOB_ID=7 run batch -q -m "$model" -n 6 "$work/rows.jsonl" "$work/script.jsonl"
cmp -s "$work/script.jsonl" "$work/whole.jsonl" || failed 'in a batch script not all rows were answered'
PMI_RANK=1 PMI_SIZE=2 run batch -q -m "$model" -n 6 --shard 1/1 "$work/rows.jsonl" "$work/asked.jsonl"
cmp -s "$work/asked.jsonl" "$work/whole.jsonl" || failed '--shard 1/1 did not answer all rows'
for wrong in 0/3 4/3 3 1/ /3 1/x 1/3/3 -1/3; do
    run batch -m "$model" --shard=$wrong "$work/rows.jsonl" "$work/none.jsonl"
    expect_error 2 '--shard'
done

# What is somebody's stays; what cannot be, is said.
echo 'my own file' >"$work/mine.txt"
for options in '' --force; do
    run batch -q -m "$model" $options "$work/rows.jsonl" "$work/mine.txt"
    expect_error 2 'nothing is written over it'
done
expect_equal 'a file that is there' "$(cat "$work/mine.txt")" 'my own file'
run batch -m "$model" "$work/rows.jsonl" "$work/rows.jsonl"
expect_error 2 'is the file of the rows'
run batch -m "$model" "$work/rows.jsonl" "$work/no/such/folder/out.jsonl"
expect_error 1 'cannot write'
run batch -m "$model" "$work/none" "$work/none.jsonl"
expect_error 4 "$work/none"
: >"$work/empty.jsonl"
run batch -m "$model" "$work/empty.jsonl" "$work/none.jsonl"
expect_error 4 'there are no rows'
run batch -m "$model" "$work/rows.jsonl"
expect_error 2 'found 1'
run batch -m "$model" --stride 2 "$work/rows.jsonl" "$work/none.jsonl"
expect_error 2 '--stride'
[ ! -e "$work/none.jsonl" ] || failed 'an output was made'

# Ctrl-C: whole lines, and the exit code of an interrupted program.
awk 'BEGIN { for (i = 0; i < 100000; i++) print "{\"image\": \"a.png\", \"prompt\": \"caption en\"}" }' >"$work/many.jsonl"
if command -v timeout >/dev/null; then
    for seconds in 1 2 4 8; do # until it has come so far
        about='pali batch, interrupted'
        code=0
        timeout --preserve-status -s INT $seconds "$pali" batch -m "$model" -n 6 -b 4 "$work/many.jsonl" "$work/long.jsonl" >"$work/out" 2>"$work/err" </dev/null || code=$?
        [ ! -s "$work/long.jsonl" ] || break
    done
    expect_error 130 'interrupted after'
    [ -s "$work/long.jsonl" ] && [ -z "$(tail -c 1 "$work/long.jsonl" | tr -d '\n')" ] || failed 'no whole last line'
fi
finish
