#!/bin/sh
# convert: formats by name and by wish, what it prints, exit codes, and that nothing stays behind.
. "$(dirname "$0")/common.sh"
source=$data/tiny/pg1

# left: what stands in the folder of targets, names on one line.
left() {
    ls -A "$work/to" | tr '\n' ' '
}

mkdir "$work/to"
run convert "$source" "$work/to/a.gguf"
expect_ok
expect_out gguf
run convert --json "$work/to/a.gguf" "$work/to/folder" --type bf16
expect_ok
expect_json format=hf source:text target:text tensors:number parameters:number bytes:number seconds:number
run inspect --json "$work/to/folder"
expect_json usable:true 'unexpected[0' parts.0.dtypes.0=bf16
run convert -q "$work/to/folder" "$work/to/b.npz"
expect_ok
[ ! -s "$work/out" ] || failed 'quiet, yet it printed'
run convert "$source" "$work/to/c.npz"
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_err 'an npz holds no tokenizer'
grep -q codec "$work/err" && failed 'a codec is spoken of where there is none'
# A mask codec goes along, but not into an npz, which is told.
run convert --json "$model" "$work/to/masks.gguf"
expect_ok
expect_json codec:true
run convert --json "$work/to/masks.gguf" "$work/to/masks.npz" --type f32
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_json codec:false
expect_err 'nor does it hold the mask codec'
rm "$work/to/masks.gguf" "$work/to/masks.npz"
run convert -m "$source" "$work/to/named" --to gguf --type q4_0 --layout tiles --embedding-type q8
expect_ok
mv "$work/to/named" "$work/to/tiles.gguf"
run inspect --json --check --tensors "$work/to/tiles.gguf"
expect_json usable:true 'unexpected[0' 'problems[0' 'check.non_finite[0'
expect_out '"q4_0_tiles"'
expect_out '"q8_tiles"'
run run -q -m "$work/to/tiles.gguf" -n 4 "$picture" 'caption en'
expect_ok
run convert -q "$source" "$work/to/merged.gguf" --lora "$data/tiny/lora/saved:0.5" --merge
expect_ok

# The same weights whichever way they went.
run convert -q "$work/to/a.gguf" "$work/to/back"
expect_ok
cmp -s "$work/to/back/model.safetensors" "$source/model.safetensors" || failed 'the weights have changed'

rm -rf "$work/to"
mkdir "$work/to"
run convert
expect_error 2 'a source and a target expected, found 0 arguments'
run convert "$source"
expect_error 2 'found 1 arguments'
run convert "$source" "$work/to/a.safetensors"
expect_error 2 'expected .gguf, .npz, or a folder'
run convert "$source" "$work/to/a.gguf" --type q5_0
expect_error 2 "--type: found 'q5_0'"
run convert "$source" "$work/to/a.gguf" --lora "$data/tiny/lora/saved"
expect_error 2 'expected --merge'
run convert "$source" "$work/to/a.gguf" --merge
expect_error 2 'found no adapter'
run convert "$source" "$work/to/a" --type q8_0
expect_error 2 'expected f32, bf16 or f16 in this format'
run convert "$source" "$work/to/a.npz" --layout tiles
expect_error 2 'only a GGUF holds tiles'
run convert "$source" "$work/none/a.gguf"
expect_error 2 "folder $work/none/ is missing"
run convert "$source" /dev/full --to gguf
expect_error 2 'found a special file'
run convert "$source" ''
expect_error 2 'found an empty name'
run convert no/such/model "$work/to/a.gguf"
[ "$code" = 3 ] || failed "exit code $code, expected 3"

# A source that ends early, and a converted file that does.
mkdir "$work/cut"
cp "$source"/*.json "$work/cut"
head -c 100000 "$source/model.safetensors" >"$work/cut/model.safetensors"
run convert "$work/cut" "$work/to/a.gguf"
expect_error 3 'is it cut off?'
expect_equal 'files left behind' '' "$(left)"
run convert -q "$source" "$work/whole.gguf" --type q8
head -c 200000 "$work/whole.gguf" >"$work/cut.gguf"
run run -m "$work/cut.gguf" "$picture" 'caption en'
expect_error 3 'is it cut off?'

# A layout or type that this build does not know: names of the same length take the place of those it does.
sed 's/tiles/tubes/g' "$work/whole.gguf" >"$work/layout.gguf"
run run -m "$work/layout.gguf" "$picture" 'caption en'
expect_error 3 "in layout 'tubes', expected bf16, q8_0, q4_0 or q8 in tiles"
run inspect --json "$work/layout.gguf"
expect_json usable:false

# The current folder takes no rename, and no more does a mount: their files come one by one.
mkdir "$work/to/here"
run convert -q "$source" "$work/to/here"
about='pali convert . .'
(cd "$work/to/here" && "$pali" convert -q . . --force --type bf16) || failed 'it failed'
run inspect --json "$work/to/here"
expect_json usable:true parts.0.dtypes.0=bf16
rm -r "$work/to/here"
expect_equal 'files left behind' '' "$(left)"

# What is there stays unless it is to be replaced; a limit on files is a full disk.
run convert -q "$source" "$work/to/a.gguf"
run convert "$source" "$work/to/a.gguf"
expect_error 2 '--force replaces it'
run convert -q "$source" "$work/to/a.gguf" --force --type q8_0
expect_ok
before=$(cksum <"$work/to/a.gguf")
for target in a.gguf b.npz folder; do
    about="convert to $target with a limit on files"
    code=0
    (ulimit -f 100 && "$pali" convert "$source" "$work/to/$target" --force >"$work/out" 2>"$work/err") || code=$?
    expect_error 1 'cannot write: '
done
expect_equal 'what a failure leaves' 'a.gguf ' "$(left)"
expect_equal 'the file that was there' "$before" "$(cksum <"$work/to/a.gguf")"
finish
