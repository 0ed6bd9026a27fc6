#!/bin/sh
# nano from nothing by pali itself: scenes, the vision tower, everything together, scores. C programs only.
# usage: tools/nano/train.sh WORK_FOLDER
# The vocabulary and the mask codec are those of models/nano. Needs 3 GB of disk in WORK_FOLDER; killed at any moment, the same
# command goes on where it was. WORK_FOLDER/nano is the model, WORK_FOLDER/scores.txt what it reaches.
set -eu

PICTURES=${PICTURES:-60000} # in each of two parts
TEST=${TEST:-1500}          # held-out ones
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:?usage: train.sh WORK_FOLDER}
mkdir -p "$work"
work=$(cd "$work" && pwd)
nano="$root/models/nano"

(cd "$root" && cmake --preset release > "$work/build.log" && cmake --build --preset release --target pali_command pali-scenes >> "$work/build.log")
pali="$root/build/release/apps/pali"
scenes="$root/build/release/tools/nano/pali-scenes"

# part NAME FLAG...: scenes as rows, unless they are there.
part() {
    name=$1
    shift
    if [ ! -e "$work/$name.done" ]; then
        "$scenes" --segment --train "$work/$name" --codec "$nano/vae-oid.npz" "$@"
        touch "$work/$name.done"
    fi
}
part first --start 0 --count "$PICTURES" &
part second --start "$PICTURES" --count "$PICTURES" &
part validation --held-out --seed 9 --count 300
wait

# rows NAME: that file of both parts, as a list of sources.
rows() {
    echo "data=[{path: \"$work/first/$1.jsonl\"}, {path: \"$work/second/$1.jsonl\"}]"
}
"$pali" train "$root/recipes/nano/tower.yaml" "$(rows patches)" out="$work/tower"
"$pali" train "$root/recipes/nano/answers.yaml" model="$work/tower/last" "$(rows both)" validation="$work/validation/questions.jsonl" out="$work/answers"

"$pali" convert "$work/answers/last" "$work/nano" --to hf --type bf16 --force
cp "$nano/vae-oid.npz" "$work/nano/"

if [ ! -e "$work/test.done" ]; then
    "$scenes" --held-out --segment --seed 9 --count "$TEST" --out "$work/test"
    touch "$work/test.done"
fi
"$here/scores.sh" "$pali" "$work/nano" "$work/test/rows.jsonl" | tee "$work/scores.txt"
