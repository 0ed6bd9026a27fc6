#!/bin/sh
# Remakes models/nano and tests/data/nano from nothing: generator, pools, vocabulary, mask codec, training, packing,
# scores, goldens.
# usage: tools/nano/make.sh WORK_FOLDER
# Needs what pali is built with, a word list, and Python with torch, transformers, sentencepiece, pillow, numpy,
# safetensors, protobuf. About 100 processor minutes, and 6 GB of disk in WORK_FOLDER.
# The schedules follow processor time, so the weights differ a little from run to run; the pictures do not.
set -eu

PYTHON=${PYTHON:-python3}
WORDS=${WORDS:-/usr/share/dict/words}
TOWER=${TOWER:-20}    # processor minutes: the vision tower alone, both processes together
CODEC=${CODEC:-7}     # the mask codec
MINUTES=${MINUTES:-48} # everything, both processes together
WALL=${WALL:-1000000} # and at most so many minutes on the clock, each
PICTURES=${PICTURES:-60000} # of each of two pools
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:?usage: make.sh WORK_FOLDER}
mkdir -p "$work"
scenes="$root/build/release/tools/nano/pali-scenes"

(cd "$root" && cmake --preset release && cmake --build --preset release --target pali-scenes)

train() {
    OMP_NUM_THREADS=1 "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node 2 "$here/train.py" \
        "$work/tokenizer/tokenizer.model" "$work/pool0" "$work/pool1" --wall "$WALL" --rate 1e-3 --autocast --compile "$@"
}

for part in 0 1; do
    if [ ! -s "$work/pool$part.done" ]; then
        which="--seed 1 --start $((part * PICTURES)) --count $PICTURES"
        "$scenes" --stream $which | "$PYTHON" "$here/pool.py" "$work/pool$part" 112
        "$scenes" --labels 8 $which > "$work/pool$part.labels"
        "$scenes" --rows --segment $which > "$work/pool$part.tsv"
        "$scenes" --masks $which | "$PYTHON" "$here/masks.py" "$work/pool$part"
        date > "$work/pool$part.done"
    fi &
done
wait

"$PYTHON" "$here/vocabulary.py" "$work/tokenizer" "$work/pool0.tsv" "$WORDS"

"$PYTHON" "$here/train_codec.py" "$work/pool0" --out "$work/vae-oid.npz" --minutes "$CODEC" | tee "$work/codec.log"
"$scenes" --masks --held-out --seed 9 --count 1500 |
    "$PYTHON" "$here/evaluate_codec.py" "$work/vae-oid.npz" --json "$work/codec.json"
"$PYTHON" "$here/codes.py" "$work/vae-oid.npz" "$work/pool0" "$work/pool1"

train --tower-only --minutes "$TOWER" --pictures 64 --out "$work/tower" | tee "$work/tower.log"
train --begin "$work/tower" --minutes "$MINUTES" --pictures 16 --wait 120 --out "$work/trained" | tee "$work/train.log"

"$PYTHON" "$here/pack.py" "$work/trained/last.pt" "$work/tokenizer" "$work/vae-oid.npz" "$root/models/nano"

"$scenes" --held-out --segment --seed 9 --count 1500 --out "$work/held"
"$PYTHON" "$here/evaluate.py" "$root/models/nano" "$work/held" 300 --json "$work/scores.json"

"$PYTHON" "$here/goldens.py" "$scenes" "$root" "$work"
"$PYTHON" "$here/card.py" "$root" "$work"
