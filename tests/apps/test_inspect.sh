#!/bin/sh
# inspect: tables and JSON of good models, exit code 3 for others.
. "$(dirname "$0")/common.sh"

for good in pg1 pg2 pg1-bf16-sharded; do
    good=$data/tiny/$good
    run inspect --tokenizer "$data/tiny/pg1" "$good"
    expect_ok
    expect_out format
    run inspect --json --tokenizer="$data/tiny/pg1" "$good"
    expect_ok
    expect_json path:text format=safetensors family:text config.vision:object config.text:object parts:list parameters:number bytes:number usable:true 'missing[0' 'problems[0'
done
run inspect --json "$data/tiny/pg1-bf16-sharded"
[ "$code" = 3 ] || failed 'a model without a tokenizer is said to be usable'
expect_err tokenizer.json
expect_json usable:false 'problems[1' tokenizer:null parameters:number
run inspect --json "$data/tiny/pg2"
expect_json family=paligemma2 codec:null
cp -r "$data/tiny/pg1" "$work/masks"
cp "$data/../../models/nano/vae-oid.npz" "$work/masks"
run inspect --json "$work/masks"
expect_json "codec=$work/masks/vae-oid.npz" usable:true
head -c 5000 "$data/../../models/nano/vae-oid.npz" >"$work/masks/vae-oid.npz"
run inspect --json "$work/masks"
[ "$code" = 3 ] || failed 'a model with half a codec is said to be usable'
expect_json codec:null usable:false
run inspect --check --tensors --json "$data/tiny/pg1"
expect_ok
expect_json check.tensors_checked:number check.non_finite:list tensors:list tensors.0:object
PALI_MODEL=$data/tiny/pg1 run inspect --json
expect_json family=paligemma

# An adapter's folder is the model that it is for, adapted; run opens it too.
cp -r "$data/tiny/lora/text-old" "$work/adapter"
sed "s|\"pg1\"|\"$data/tiny/pg1\"|" "$data/tiny/lora/text-old/adapter_config.json" >"$work/adapter/adapter_config.json"
run inspect --json "$work/adapter"
expect_ok
expect_json "path=$work/adapter" "adapter_of=$data/tiny/pg1" family=paligemma usable:true
run run -q -m "$work/adapter" --max-tokens 4 "$data/tiny/a.png" 'caption en'
expect_ok
mv "$work/out" "$work/alone"
run run -q -m "$data/tiny/pg1" --lora "$work/adapter" --max-tokens 4 "$data/tiny/a.png" 'caption en'
cmp "$work/alone" "$work/out" || failed 'an adapter that is opened alone answers otherwise'
run inspect "$data/tiny/lora/text-old"
[ "$code" = 3 ] || failed 'an adapter without its model is said to be usable'
expect_err 'its base model: pg1: no such file'

# A model that lacks its weights' second half.
mkdir "$work/cut" "$work/empty"
cp "$data/tiny/pg1/config.json" "$data/tiny/pg1/preprocessor_config.json" "$work/cut"
head -c 20000 "$data/tiny/pg1/model.safetensors" >"$work/cut/model.safetensors"
for wrong in "$work/cut" "$work/empty" "$work/none" "$picture" no/such/model; do
    run inspect "$wrong"
    [ "$code" = 3 ] || failed "exit code $code, expected 3"
    [ "$(grep -c '^pali: ' "$work/err")" = 1 ] || failed 'not one line that says why'
done
finish
