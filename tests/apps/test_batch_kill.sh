#!/bin/sh
# batch, killed (SIGKILL) at random moments and gone on with each time, against
# one clean run: the same file, byte for byte. After the usual arguments: how
# many rows, how many kills.
. "$(dirname "$0")/common.sh"
rows=$5
kills=$6
here=$(pwd)
awk -v rows="$rows" -v folder="$here/$data/nano" 'BEGIN {
    split("000000.jpg 000001.png 000002.jpg 000003.png 000004.png 000005.jpg 000006.png 000007.jpg 000008.jpg 000009.png", picture, " ")
    split("caption en|detect red circle|answer en how many crosses?|ocr|detect blue star ; white ring|answer en what color is the heart?|", prompt, "|")
    for (i = 0; i < rows; i++) {
        if (i % 97 == 50)
            print "{\"image\": \"missing.png\", \"prompt\": \"ocr\"}"
        else
            printf "{\"id\": %d, \"image\": \"%s/%s\", \"prompt\": \"%s\"}\n", i, folder, picture[int(i / 3) % 10 + 1], prompt[i % 7 + 1]
    }
}' >"$work/rows.jsonl"

# In batches of one first: what batches of eight write is to be the same.
run batch -q -m "$model" -n 24 -b 1 "$work/rows.jsonl" "$work/clean.jsonl"
[ "$code" = 1 ] || failed 'exit code not 1, although pictures are missing'
bytes=$(wc -c <"$work/clean.jsonl")
expect_equal 'lines of the clean run' "$(wc -l <"$work/clean.jsonl")" "$((rows))"

# Thirty-two at a time, and three shards put together: the same.
run batch -q -m "$model" -n 24 -b 32 "$work/rows.jsonl" "$work/wide.jsonl"
cmp "$work/clean.jsonl" "$work/wide.jsonl" >"$work/out" 2>&1 || failed 'batches of 32 differ from batches of one'
for i in 1 2 3; do
    run batch -q -m "$model" -n 24 --shard $i/3 "$work/rows.jsonl" "$work/part-$i.jsonl"
done
sort -t: -k2n "$work"/part-?.jsonl | cmp "$work/clean.jsonl" - >"$work/out" 2>&1 || failed 'three shards put together differ from the whole'

# The moments: when the output has grown to a random size, or some steps of 10 ms later.
seed=${PALI_TEST_SEED:-$(date +%s)}
about="pali batch killed, PALI_TEST_SEED=$seed"
moments=$(awk -v seed="$seed" -v kills="$kills" -v bytes="$bytes" 'BEGIN {
    srand(seed)
    for (i = 0; i < kills; i++)
        printf "%d:%d\n", rand() * bytes, rand() < 0.5 ? 0 : rand() * 4
}' | sort -n)
size_of() {
    if [ -e "$work/out.jsonl" ]; then wc -c <"$work/out.jsonl"; else echo 0; fi
}
hit=0
for moment in $moments; do
    "$pali" batch -q -m "$model" -n 24 "$work/rows.jsonl" "$work/out.jsonl" 2>"$work/err" &
    process=$!
    while kill -0 $process 2>/dev/null && [ "$(size_of)" -lt "${moment%:*}" ]; do sleep 0.01; done
    sleep "0.0${moment#*:}"
    kill -9 $process 2>/dev/null
    code=0
    wait $process 2>/dev/null || code=$?
    [ "$code" != 137 ] || hit=$((hit + 1))
    cmp -n "$(size_of)" "$work/clean.jsonl" "$work/out.jsonl" >"$work/out" 2>&1 || failed "what was written by then differs (seed $seed)"
done
[ "$hit" -gt 0 ] || failed "no kill came in time (seed $seed)"
echo "$hit of $kills kills hit a run"

run batch -q -m "$model" -n 24 "$work/rows.jsonl" "$work/out.jsonl"
[ "$code" = 1 ] || failed 'exit code'
cmp "$work/clean.jsonl" "$work/out.jsonl" >"$work/out" 2>&1 || failed "killed and gone on with, the output differs from that of a clean run (seed $seed)"
finish
