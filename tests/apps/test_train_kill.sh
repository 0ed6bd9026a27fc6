#!/bin/sh
# train, killed (SIGKILL) at random moments and gone on with each time, against
# one clean run: the same weights, state and losses, byte for byte. After the
# usual arguments: how many kills, then settings of the runs.
. "$(dirname "$0")/common.sh"
kills=$5
shift 5
here=$(pwd)
awk -v folder="$here/$data/nano" 'BEGIN {
    split("000000.jpg 000001.png 000002.jpg 000003.png 000004.png 000005.jpg 000006.png 000007.jpg 000008.jpg 000009.png", picture, " ")
    for (i = 0; i < 60; i++)
        printf "{\"image\": \"%s/%s\", \"prefix\": \"caption en\", \"suffixes\": [\"a red star\", \"a star %d\", \"number %d of the cats\"]}\n", folder, picture[i % 10 + 1], i % 7, i
}' >"$work/rows.jsonl"

# train OUT SETTINGS...; with as=exec the shell that it runs in becomes it.
as=
train() {
    out=$1
    shift
    $as "$pali" train data="$work/rows.jsonl" validation="$work/rows.jsonl" out="$out" batch=6 micro_batch=4 lr=1e-3 dropout=0.1 save_every=2 keep_checkpoints=3 eval_every=7 eval_examples=12 samples=0 log_every=3 leak_test=false "$@"
}

began=$(date +%s%N)
train "$work/clean" "$@" >"$work/out" 2>"$work/err" || failed 'the clean run'
length=$((($(date +%s%N) - began) / 1000000))

seed=${PALI_TEST_SEED:-$(date +%s)}
about="pali train killed, PALI_TEST_SEED=$seed"
moments=$(awk -v seed="$seed" -v kills="$kills" -v length_="$length" 'BEGIN {
    srand(seed)
    for (i = 0; i < kills; i++)
        printf "%.3f\n", 0.02 + rand() * 2 * length_ / kills / 1000
}')
hit=0
for moment in $moments; do
    as=exec
    train "$work/killed" "$@" >"$work/out" 2>"$work/err" &
    as=
    process=$!
    sleep "$moment"
    kill -9 $process 2>/dev/null
    code=0
    wait $process 2>/dev/null || code=$?
    case $code in
    137) hit=$((hit + 1)) ;;
    0) ;;
    *) failed "a run that went on ended with $code (seed $seed)" ;;
    esac
done
[ "$hit" -gt 0 ] || failed "no kill came in time (seed $seed)"
echo "$hit of $kills kills hit a run of $length ms"
train "$work/killed" "$@" >"$work/out" 2>"$work/err" || failed "the run after the kills (seed $seed)"

same() {
    cmp "$work/clean/$1" "$work/killed/$1" >"$work/out" 2>&1 || failed "$1 differs from that of a run at one stretch (seed $seed)"
}
for file in "$work"/clean/last/*.safetensors "$work"/clean/best/*.safetensors "$work"/clean/last/state/*.safetensors; do
    same "${file#"$work/clean/"}"
done
# Of the log all but what a clock says, and means over a stretch that a kill cut in two.
losses() {
    cut -d, -f1,2,4,5,6 "$1"
}
losses "$work/clean/metrics.csv" >"$work/clean.csv"
losses "$work/killed/metrics.csv" >"$work/killed.csv"
cmp "$work/clean.csv" "$work/killed.csv" >"$work/out" 2>&1 || failed "the log differs (seed $seed)"
finish
