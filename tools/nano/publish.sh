#!/bin/sh
# Puts what train.sh made in the place of models/nano, and remakes all that follows from its weights: goldens, pictures to
# try, the adapter of the tests, the card. The goldens are transformers' answers, peft's where there is an adapter.
# usage: tools/nano/publish.sh WORK_FOLDER MACHINE
# MACHINE is where train.sh ran: "two cores of ...". Needs Python with torch, transformers, peft, sentencepiece, pillow.
set -eu

PYTHON=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(cd "${1:?usage: publish.sh WORK_FOLDER MACHINE}" && pwd)
machine=${2:?usage: publish.sh WORK_FOLDER MACHINE}
pali="$root/build/release/apps/pali"
scenes="$root/build/release/tools/nano/pali-scenes"
adapter="$root/tests/data/nano/adapter"

cp "$work/nano/model.safetensors" "$work/nano/vae-oid.npz" "$root/models/nano/"
"$PYTHON" "$here/evaluate.py" "$root/models/nano" "$work/test" 300 --json "$work/scores.json"
"$PYTHON" "$here/evaluate_codec.py" "$root/models/nano/vae-oid.npz" "$work/test" --json "$work/codec.json"
"$PYTHON" "$here/goldens.py" "$scenes" "$root" "$work"

rm -rf "$work/table" "$work/adapter"
"$scenes" --kind shapes --max-side 224 --task table --seed 101 --count 1024 --out "$work/table"
(cd "$root" && "$pali" train recipes/transfer/lora.yaml model=models/nano data="$work/table/rows.jsonl" data.0.limit=256 epochs=10 lora.rank=4 seed=1 \
    out="$work/adapter" --quiet)
cp "$work/adapter/last/adapter_model.safetensors" "$adapter/" # its configuration stays: the base is named there from the project's root
"$PYTHON" "$root/tools/transfer/golden.py" "$root"

"$PYTHON" "$here/card.py" "$root" "$work" "$machine"
