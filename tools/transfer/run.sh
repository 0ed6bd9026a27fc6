#!/bin/sh
# Teaches nano two tasks that it never saw, from 64, 256 and 1,024 examples, by adapter and whole, three times each: 36 runs.
# usage: tools/transfer/run.sh WORK_FOLDER
# Each seed has examples of its own; all are scored on the same 500 rows, of scenes from a stream that no training sees.
# Rates and epochs were chosen on other held-out rows (--seed 70). Runs that ended are kept; the same command does the rest.
# PALI and SCENES name the programs, JOBS runs go on side by side with THREADS threads each; neither changes a score.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:?usage: run.sh WORK_FOLDER}
PALI=${PALI:-$root/build/release/apps/pali}
SCENES=${SCENES:-$root/build/release/tools/nano/pali-scenes}
JOBS=${JOBS:-1}
THREADS=${THREADS:-2}
export PALI SCENES THREADS

# scenes TASK FOLDER OPTION...
scenes() {
    task=$1
    folder=$2
    shift 2
    [ -s "$folder/rows.jsonl" ] || { "$SCENES" --kind shapes --max-side 224 --task "$task" --out "$folder.part" "$@" && mv "$folder.part" "$folder"; }
}

# score TASK OPTION...: the part of the test that is answered exactly.
score() {
    rows=$work/$1-test/rows.jsonl
    shift
    "$PALI" eval --quiet --no-confidence --max-tokens 48 --threads "$THREADS" "$@" "$rows" | awk '$1 == "exact" && !n++ { print $2 }'
}

# one TASK HOW EXAMPLES SEED: a run and its line of the result.
one() {
    name=$1-$2-$3-$4
    run=$work/runs/$name
    [ ! -s "$work/results/$name.csv" ] || return 0
    case $2-$3 in
    *-64) epochs=20 ;;
    lora-256) epochs=16 ;;
    lora-1024) epochs=8 ;;
    full-256) epochs=10 ;;
    full-1024) epochs=5 ;;
    esac
    begun=$(date +%s)
    "$PALI" train "$root/recipes/transfer/$2.yaml" model="$root/models/nano" data="$work/$1-$4/rows.jsonl" data.0.limit="$3" epochs=$epochs seed="$4" \
        out="$run" feature_cache="$work/features" --quiet --threads "$THREADS" >"$run.log" 2>&1
    ended=$(date +%s)
    case $2 in
    lora) exact=$(score "$1" --model "$root/models/nano" --lora "$run/last") ;;
    full) exact=$(score "$1" --model "$run/last") ;;
    esac
    echo "$1,$2,$3,$4,$epochs,$exact,$((ended - begun))" >"$work/results/$name.csv.part"
    mv "$work/results/$name.csv.part" "$work/results/$name.csv"
}

mkdir -p "$work/runs" "$work/results"
if [ $# = 5 ]; then
    one "$2" "$3" "$4" "$5"
    exit
fi

for task in side table; do
    for seed in 1 2 3; do
        scenes $task "$work/$task-$seed" --seed $((100 + seed)) --count 1024
    done
    scenes $task "$work/$task-test" --held-out --seed 71 --count 500
    [ -s "$work/results/$task.csv" ] || echo "$task,none,0,0,0,$(score $task --model "$root/models/nano"),0" >"$work/results/$task.csv"
done
for how in lora full; do
    for examples in 64 256 1024; do
        for seed in 1 2 3; do
            for task in side table; do
                echo "$task $how $examples $seed"
            done
        done
    done
done | xargs -P "$JOBS" -L 1 sh "$0" "$work"

{
    echo task,how,examples,seed,epochs,exact,seconds
    cat "$work"/results/*.csv | sort -t, -k1,1 -k2,2 -k3,3n -k4,4n
} >"$work/scores.csv"
awk -f "$here/table.awk" "$work/scores.csv"
awk -f "$here/plot.awk" "$work/scores.csv" >"$work/transfer.svg"
