#!/bin/sh
# nano from nothing by pali itself: scenes, mask codec, vision tower, everything together, questions alone, scores. C programs
# only.
# usage: tools/nano/train.sh WORK_FOLDER
# The vocabulary is that of models/nano. Needs 8 GB of disk in WORK_FOLDER; killed at any moment, the same command goes on
# where it was. WORK_FOLDER/nano is the model, WORK_FOLDER/scores.txt what it reaches, WORK_FOLDER/times.txt what each part
# took. PALI and SCENES name programs that are built already. A rehearsal, which teaches nothing and wants a folder of its own:
# STEPS=2 PICTURES=24 MASKED=4 TEST=2.
set -eu

PICTURES=${PICTURES:-60000} # in each of four parts
MASKED=${MASKED:-12000}     # pictures whose masks the codec is taught
TEST=${TEST:-1500}          # held-out ones
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:?usage: train.sh WORK_FOLDER}
mkdir -p "$work"
work=$(cd "$work" && pwd)

if [ -z "${PALI:-}" ]; then
    (cd "$root" && cmake --preset release > "$work/build.log" && cmake --build --preset release --target pali_command pali-scenes >> "$work/build.log")
fi
pali=${PALI:-$root/build/release/apps/pali}
scenes=${SCENES:-$root/build/release/tools/nano/pali-scenes}

# once NAME COMMAND...: runs it, unless it was done before; notes how long it took, also where it failed: times of a name add up.
once() {
    name=$1
    shift
    if [ ! -e "$work/$name.done" ]; then
        begun=$(date +%s)
        code=0
        "$@" || code=$?
        echo "$name: $(($(date +%s) - begun)) s" | tee -a "$work/times.txt"
        [ $code = 0 ] || exit $code
        touch "$work/$name.done"
    fi
}

# Scenes as rows, with masks as the codec says them, two parts at once. What a step would do each time is done once: the
# resize, the codes. The one in the background ends with this script.
parts() {
    "$scenes" --segment --train "$work/first" --codec "$work/vae-oid.npz" --count "$PICTURES" &
    other=$!
    trap 'kill $other 2> /dev/null' EXIT
    trap 'exit 130' INT TERM
    "$scenes" --segment --train "$work/second" --codec "$work/vae-oid.npz" --start "$PICTURES" --count "$PICTURES" && wait $other || return 1
    "$scenes" --segment --train "$work/third" --codec "$work/vae-oid.npz" --start $((2 * PICTURES)) --count "$PICTURES" --questions 6 &
    other=$!
    "$scenes" --segment --train "$work/fourth" --codec "$work/vae-oid.npz" --start $((3 * PICTURES)) --count "$PICTURES" --questions 6 && wait $other || return 1
    trap - EXIT INT TERM
    "$scenes" --segment --train "$work/validation" --codec "$work/vae-oid.npz" --held-out --seed 8 --count 300
}

# rows NAME PART PART: that file of both, as a list of sources.
rows() {
    echo "data=[{path: \"$work/$2/$1.jsonl\"}, {path: \"$work/$3/$1.jsonl\"}]"
}

# Of the questions, those about several things at once, which come out last: two boxes or more, captions, yes or no; of the
# others every fifth.
choose() {
    for part in first second; do
        awk '/"prefix": "(detect|segment)/ && / ; <loc/ || /"prefix": "(caption|answer en is)/ || NR % 5 == 0' "$work/$part/questions.jsonl" > "$work/$part/several.jsonl" || return 1
    done
}

# taught NAME RECIPE FROM DATA SETTING...: the run NAME, from what the run FROM ended with; measured on scenes that are neither
# learned from nor the test's.
taught() {
    run=$1
    recipe=$2
    from=$3
    data=$4
    shift 4
    once "$run" "$pali" train "$root/recipes/nano/$recipe.yaml" model="$work/$from/last" "$data" validation="$work/validation/questions.jsonl" out="$work/$run" "$@"
}

once masks "$scenes" --segment --out "$work/masks" --count "$MASKED"
once test "$scenes" --held-out --segment --seed 9 --count "$TEST" --out "$work/test"
once codec "$pali" train "$root/recipes/nano/codec.yaml" codec="$work/vae-oid.npz" out="$work/codec" data="$work/masks/rows.jsonl" validation="$work/test/rows.jsonl" ${STEPS:+"steps=$STEPS"}
once parts parts
once tower "$pali" train "$root/recipes/nano/tower.yaml" "$(rows patches first second)" out="$work/tower" ${STEPS:+"steps=$STEPS"}
taught answers answers tower "$(rows both first second)" ${STEPS:+"steps=$STEPS"}
taught finish finish answers "$(rows questions second first)" ${STEPS:+"steps=$STEPS"}
taught again finish finish "$(rows questions first second)" lr=9e-4 steps="${STEPS:-5000}" seed=3
once choose choose
taught several finish again "$(rows several second first)" lr=8e-4 steps="${STEPS:-2300}" seed=4 batch=48 micro_batch=48 warmup=50
taught more finish several "$(rows questions third fourth)" lr=1e-3 seed=5 batch=96 micro_batch=96 ${STEPS:+"steps=$STEPS"}

"$pali" convert "$work/more/last" "$work/nano" --to hf --type bf16 --force
cp "$work/vae-oid.npz" "$work/nano/"
"$here/scores.sh" "$pali" "$work/nano" "$work/test/rows.jsonl" > "$work/scores.txt"
cat "$work/scores.txt"
