#!/bin/sh
# test.sh BUILD/examples: runs the examples with nano and looks at what they print and write.
set -eu
cd "$(dirname "$0")/.."
built=$1
pictures=models/nano/pictures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

# detect: boxes as numbers, and the picture.
"$built/detect" models/nano $pictures/detect-2.jpg 'orange star ; yellow cross' "$work/found.png" >"$work/out"
[ "$(grep -cE '^(orange star|yellow cross): x [0-9]+ to [0-9]+, y [0-9]+ to [0-9]+$' "$work/out")" = 2 ] || fail "detect printed: $(cat "$work/out")"
"$built/caption" models/nano "$work/found.png" >/dev/null 2>&1 || fail 'the drawn picture cannot be read'

# segment: how much each mask covers, and its file, which is a mask again.
label=$(awk -F '\t' '$1 == "segment-1.jpg" && sub(/^segment /, "", $2) { print $2 }' $pictures/pictures.tsv)
"$built/segment" models/nano $pictures/segment-1.jpg "$label" "$work/mask" >"$work/out"
grep -qE "^$label: [0-9.]+ % of the picture, RLE .+\$" "$work/out" || fail "segment printed: $(cat "$work/out")"
"$built/caption" models/nano "$work/mask-1.png" >/dev/null 2>&1 || fail 'the mask cannot be read'
"$built/segment" tests/data/tiny/pg1 $pictures/detect-1.jpg ring >"$work/out"
grep -q '^ring: no mask' "$work/out" || fail "segment without a codec printed: $(cat "$work/out")"

# batch: every picture's answer, the same as alone; more pictures than sessions, and fewer.
for list in "$(ls $pictures/caption-1.*)" "$(echo $pictures/*.jpg $pictures/*.png)"; do
    # shellcheck disable=SC2086 # one word a picture
    set -- $list
    "$built/batch" models/nano 'caption en' "$@" | sort >"$work/together"
    for picture; do
        echo "$picture: $("$built/caption" models/nano "$picture" 'caption en' 2>/dev/null)"
    done | sort >"$work/alone"
    cmp -s "$work/together" "$work/alone" || fail "batch and caption differ: $(diff "$work/together" "$work/alone")"
    [ "$(wc -l <"$work/alone")" -eq $# ] || fail 'an answer is missing'
done

# train_lora: a few steps, and the adapter answers.
"$built/train_lora" models/nano tests/data/nano/rows.jsonl "$work/run" steps=3 batch=2 sample_every=0 >"$work/out" || fail "train_lora printed: $(cat "$work/out")"
[ "$(grep -cE '^step [1-3] of 3: loss [0-9.]+$' "$work/out")" = 3 ] || fail "train_lora printed: $(cat "$work/out")"
[ -f "$work/run/last/adapter_model.safetensors" ] || fail 'train_lora left no adapter'
code=0
"$built/train_lora" models/nano /nowhere.jsonl "$work/none" >/dev/null 2>"$work/err" || code=$?
[ $code = 4 ] && grep -q '^train_lora: /nowhere.jsonl: ' "$work/err" || fail "train_lora without rows: exit code $code, $(cat "$work/err")"

# Errors are one line and the exit code of their kind; without arguments the usage.
for example in caption detect segment batch; do
    code=0
    "$built/$example" >/dev/null 2>"$work/err" || code=$?
    [ $code = 2 ] || fail "$example without arguments: exit code $code"
    code=0
    "$built/$example" models/nano /nowhere.jpg /nowhere.jpg /nowhere.jpg >/dev/null 2>"$work/err" || code=$?
    [ $code = 4 ] || fail "$example without a picture: exit code $code"
    grep -q "^$example: /nowhere.jpg: " "$work/err" || fail "$example said: $(cat "$work/err")"
done
code=0
"$built/detect" models/nano $pictures/detect-1.jpg ring "$work/found.gif" >/dev/null 2>"$work/err" || code=$?
[ $code = 2 ] || fail "detect into a .gif: exit code $code"
