#!/bin/sh
# Remakes models/nano and tests/data/nano from nothing: generator, pool, vocabulary, training, packing, scores, goldens.
# usage: tools/nano/make.sh WORK_FOLDER
# Needs a C compiler, libjpeg, libpng, a word list, and Python with torch, transformers, sentencepiece, pillow, numpy,
# safetensors, protobuf. About half an hour of two processor cores and 5 GB of disk in WORK_FOLDER.
# The schedule follows processor time, so the weights differ a little from run to run; the pictures do not.
set -eu

PYTHON=${PYTHON:-python3}
CC=${CC:-cc}
WORDS=${WORDS:-/usr/share/dict/words}
MINUTES=${MINUTES:-38}  # processor minutes of training, both processes together
WALL=${WALL:-1000000} # and at most so many minutes on the clock
PICTURES=${PICTURES:-60000} # of each of two pools
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:?usage: make.sh WORK_FOLDER}
mkdir -p "$work"
scenes="$work/pali-scenes"

$CC -std=c11 -O2 -Wall -Wextra "$here"/*.c -o "$scenes" -ljpeg -lpng -lm

for part in 0 1; do
    if [ ! -s "$work/pool$part.done" ]; then
        "$scenes" --stream --seed 1 --start $((part * PICTURES)) --count "$PICTURES" |
            "$PYTHON" "$here/pool.py" "$work/pool$part" 112
        "$scenes" --labels 8 --seed 1 --start $((part * PICTURES)) --count "$PICTURES" > "$work/pool$part.labels"
        date > "$work/pool$part.done"
    fi &
done
wait

"$PYTHON" "$here/vocabulary.py" "$work/tokenizer" "$work/pool0.tsv" "$WORDS"

OMP_NUM_THREADS=1 "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node 2 "$here/train.py" \
    "$work/tokenizer/tokenizer.model" "$work/pool0" "$work/pool1" --out "$work/trained" \
    --minutes "$MINUTES" --wall "$WALL" --tower 0.25 --pictures 16 --wait 120 --rate 1e-3 --autocast --compile |
    tee "$work/train.log"

"$PYTHON" "$here/pack.py" "$work/trained/last.pt" "$work/tokenizer" "$root/models/nano"

"$scenes" --held-out --seed 9 --count 1500 --out "$work/held"
"$PYTHON" "$here/evaluate.py" "$root/models/nano" "$work/held" 300 --json "$work/scores.json"

"$PYTHON" "$here/goldens.py" "$scenes" "$root" "$work"
"$PYTHON" "$here/card.py" "$root" "$work"
