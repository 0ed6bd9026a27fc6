#!/bin/sh
# embed: every kind of vectors into every kind of file, stacks of images, what is refused.
. "$(dirname "$0")/common.sh"
other=$data/tiny/b.png
out=$work/vectors

run embed -q -m "$model" "$picture" --what siglip -o "$out.npy"
expect_ok
[ -s "$out.npy" ] && [ ! -s "$work/out" ] || failed 'no file, or something on standard output'
run embed -m "$model" "$picture" "$other" "$picture" --what pooled --normalise --out "$out.npz" --json --quiet
expect_ok
expect_json "out=$out.npz" items=3 type=f32 'tensors[1' tensors.0.name=siglip 'tensors.0.shape[2' tensors.0.shape.0=3 "model=$model"
run embed -q -m "$model" "$picture" "$other" 'caption en' --what pooled -o "$out.npz" --json
expect_ok
expect_json items=2 'tensors[1' 'tensors.0.shape[2' tensors.0.shape.0=2
run embed -q -m "$model" "$picture" "$other" 'caption en' --what hidden --layers 0,last,-2 --dtype bf16 -o "$out.safetensors" --json
expect_ok
expect_json items=2 type=bf16 'tensors[3' tensors.0.name=hidden.0 'tensors.0.shape[3'
run embed -q -m "$model" "$picture" "$other" 'caption en' --what hidden --together -o "$out.safetensors" --json
expect_ok
expect_json items=1 'tensors.0.shape[2'
run embed -m "$model" "$picture" --what projector -o "$out.npy"
[ "$code" = 0 ] || failed 'exit code'
expect_err 'projector ['

# The same image alone and in a stack: the same bytes behind the header.
run embed -q -m "$model" "$other" --what pooled -o "$work/one.npy"
run embed -q -m "$model" "$picture" "$other" --what pooled -o "$work/two.npy"
width=$((($(wc -c <"$work/one.npy") - 128)))
tail -c "$width" "$work/one.npy" >"$work/a"
tail -c "$width" "$work/two.npy" >"$work/b"
cmp -s "$work/a" "$work/b" || failed 'a vector depends on the images before it'

refused() {
    words=$1
    shift
    rm -f "$out".*
    run embed -q -m "$model" "$@"
    expect_error 2 "$words"
    [ -z "$(ls "$out".* 2>/dev/null)" ] || failed 'a file was left'
}
refused '--what is missing' "$picture" -o "$out.npy"
refused '--out FILE is missing' "$picture" --what siglip
refused 'an image is missing' --what siglip -o "$out.npy"
refused 'is a file, so the prompt after it is missing' "$picture" --what hidden -o "$out.npy"
refused 'found 2 tensors, expected one in a .npy' "$picture" x --what hidden --layers 0,1 -o "$out.npy"
refused 'found type bf16' "$picture" --what siglip --dtype bf16 -o "$out.npy"
refused 'without a known ending' "$picture" --what siglip -o "$out.bin"
refused "--layers: found '0,,1'" "$picture" x --what hidden --layers 0,,1 -o "$out.npz"
refused "--layers: found 'first'" "$picture" x --what hidden --layers first -o "$out.npz"
refused "--layers: found 'lastly'" "$picture" x --what hidden --layers lastly -o "$out.npz"
refused '--layers: found without hidden states' "$picture" --what siglip --layers 0 -o "$out.npy"
refused '--together: found without a prompt' "$picture" --what siglip --together -o "$out.npy"
refused 'layers: found 9999, expected 0' "$picture" x --what hidden --layers 9999 -o "$out.npy"
refused 'layers: found layer 0 twice' "$picture" x --what hidden --layers 0,0 -o "$out.npz"
run embed -q -m /nowhere "$picture" --what siglip -o /nowhere/at/all.npy
expect_error 1 '/nowhere/at/all.npy: cannot write'
# The last one is a picture that is missing, not a prompt.
run embed -q -m "$model" "$picture" "$work/none.jpg" --what pooled -o "$out.npy"
expect_error 4 'none.jpg'
run embed -q -m "$model" "$work/none.png" --what siglip -o "$out.npy"
expect_error 4 'none.png'
[ ! -e "$out.npy" ] || failed 'a file was left'
finish
