#!/bin/sh
# mask: masks to tokens and back, in every form, and what is refused.
. "$(dirname "$0")/common.sh"

polygon='100,50 300,80 250,300 80,220'

run mask encode -m "$model" --polygon "$polygon" --size 640x480
expect_ok
tokens=$(cat "$work/out")
expect_equal 'tokens' "$(echo "$tokens" | grep -cE '^(<loc[0-9]{4}>){4}(<seg[0-9]{3}>){16}$')" 1
expect_out '<loc0107><loc0128><loc0639><loc0480>'

# The default model, and a codec by itself, are the same here.
run mask encode -q --polygon "$polygon" --size 640x480
expect_ok
expect_equal 'nano by default' "$(cat "$work/out")" "$tokens"
run mask encode --polygon "$polygon" --size 640x480
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_err 'no model was named, so nano answers'
run mask encode --codec "$model/vae-oid.npz" --polygon "$polygon" --size 640x480
expect_ok
expect_equal 'a codec by itself' "$(cat "$work/out")" "$tokens"
run mask encode -q --json --polygon "$polygon" --size 640x480
expect_ok
expect_json text="$tokens" width=640 height=480 area=37990

# Decoded: run lengths, outlines, a picture; each encodes to the same again.
run mask decode -q "$tokens" --size 640x480
expect_ok
expect_out '{"size":[480,640],"counts":"'
cp "$work/out" "$work/rle.json"
run mask decode -q "$tokens" --size 640x480 --polygons
expect_ok
cp "$work/out" "$work/polygons"
run mask decode -q " $tokens cat" --size 640x480 -o "$work/mask.png"
expect_ok
[ ! -s "$work/out" ] || failed 'a picture was asked for, and text came too'
run mask encode -q "$work/mask.png"
expect_ok
again=$(cat "$work/out")
run mask encode -q --rle "$(cat "$work/rle.json")"
expect_ok
expect_equal 'run lengths as text' "$(cat "$work/out")" "$again"
run mask encode -q --rle "$work/rle.json"
expect_ok
expect_equal 'run lengths in a file' "$(cat "$work/out")" "$again"
expect_equal 'outlines' "$(wc -l <"$work/polygons")" 1
run mask encode -q --polygon "$(cat "$work/polygons")" --image "$work/mask.png"
expect_ok
expect_equal 'outlines' "$(cat "$work/out")" "$again"
fed "$work/mask.png" mask encode -q -
expect_ok
expect_equal 'standard input' "$(cat "$work/out")" "$again"
run mask encode -q --rle '{"size":[3,4],"counts":[1,2,9]}'
expect_ok
expect_out '<loc0341><loc0000><loc1023><loc0256>'
run mask decode -q --json --polygons --way demo "$tokens" --size 640x480
expect_ok
expect_out '"mask":{"size":[480,640],"counts":"'
expect_out '"box":{"y1":'
expect_out '"polygons":[['
# Another box than the mask's own.
run mask encode -q "$work/mask.png" --box 0,0,480,640
expect_ok
expect_out '<loc0000><loc0000><loc1023><loc1023><seg'
# A box without a pixel decodes to nothing.
run mask decode -q "<loc0001><loc0001><loc0002><loc0002>${tokens#*>*>*>*>}" --size 64x48
expect_ok
expect_out '"counts":"PP3"'

# The command line.
run mask
expect_error 2 'what to do is missing: encode or decode'
run mask turn
expect_error 2 "found 'turn', expected encode or decode"
run mask encode
expect_error 2 'found 0'
run mask encode -q a.png b.png
expect_error 2 'found 2'
run mask encode -q a.png --rle '{}'
expect_error 2 'found 2'
run mask encode -q a.png --size 3x3
expect_error 2 'go with --polygon'
run mask encode -q a.png -o b.png
expect_error 2 'go with decode'
run mask decode -q "$tokens" --rle '{}' --size 3x3
expect_error 2 'go with encode'
run mask decode -q "$tokens"
expect_error 2 'the size of the picture is missing'
run mask decode -q --size 3x3
expect_error 2 'found 0'
run mask decode -q "$tokens" --size 3x3 --image "$picture"
expect_error 2 'found both'
for size in 0x3 3x0 3 x3 3x 3x3x3 -3x3 1000001x3 '3 x 3'; do
    run mask decode "$tokens" "--size=$size"
    expect_error 2 "found '$size', expected WIDTHxHEIGHT"
done
for box in 1,2,3 1,2,3,4,5 1,2,3,x ''; do
    run mask encode "$work/mask.png" "--box=$box"
    expect_error 2 'expected y1,x1,y2,x2'
done
run mask encode -q --polygon "$polygon"
expect_error 2 'the size of its picture is missing'
run mask encode -q --polygon '1,2 3,nan 4,5' --size 4x4
expect_error 2 'expected numbers'

# Input.
run mask encode -q "$work/mask.png" --box 0,0,481,640
expect_error 4 "expected one within the mask's 480 x 640 pixels"
run mask encode -q "$work/mask.png" --box 100,100,100,200
expect_error 4 'expected y2 > y1 and x2 > x1'
run mask encode -q "$work/mask.png" --box 400,500,480,640
expect_error 4 'found no pixel that is in within the box'
run mask encode -q --rle '{"size":[3,4],"counts":[12]}'
expect_error 4 'mask: found no pixel that is in'
run mask encode -q --polygon '1,2 3' --size 4x4
expect_error 4 'found 3 numbers'
run mask encode -q --polygon '1,2 3,4' --size 4x4
expect_error 4 'found 4 numbers'
run mask encode -q --polygon '1,2 3,4 1e9,1' --size 4x4
expect_error 4 'as x of corner 3'
run mask encode -q "$work/missing.png"
expect_error 4 'missing.png'
run mask encode -q "$work/rle.json"
expect_error 4 'expected a JPEG, PNG, WebP or GIF picture'
head -c 300 "$work/mask.png" >"$work/cut.png"
run mask encode -q "$work/cut.png"
expect_error 4 'cut short'
run mask encode -q --rle '{"size":[3,4],"counts":[1,2,8]}'
expect_error 4 'found 11 pixels in 3 runs, expected 12 (4 x 3)'
run mask encode -q --rle '{"size":[3,4],"counts":[1,-2,9]}'
expect_error 4 'as run 2 of counts'
run mask encode -q --rle '{"size":[3,4],"counts":"5!"}'
expect_error 4 "found '!' as character 2"
run mask encode -q --rle '{"size":[3,0],"counts":"5"}'
expect_error 4 'found no "size"'
run mask encode -q --rle '{"size":[3,4]}'
expect_error 4 'as "counts"'
run mask encode -q --rle '{"size":'
expect_error 4 'no JSON'
run mask encode -q --rle "$work/missing.json"
expect_error 4 'missing.json'
run mask decode -q '<loc0001><loc1024><loc0002><loc0003>' --size 3x3
expect_error 4 "found '<loc1024>' as token 2"
run mask decode -q "$(echo "$tokens" | sed 's/<seg[0-9]*>$/<seg128>/')" --size 3x3
expect_error 4 "found '<seg128>' as token 20"
run mask decode -q "${tokens%<seg*}" --size 3x3
expect_error 4 'found the end after 19 tokens'
run mask decode -q "$tokens cat ; $tokens cat" --size 3x3
expect_error 4 'after the 20 tokens of a mask, expected one mask'
run mask decode -q "$tokens" --image "$work/missing.png"
expect_error 4 'missing.png'

# Codecs and outputs.
run mask decode -q "$tokens" --size 3x3 --codec "$work/missing.npz"
expect_error 3 'missing.npz'
run mask decode -q "$tokens" --size 3x3 -m "$data/tiny/pg1"
expect_error 3 'found no mask codec, expected vae-oid.npz'
head -c 100000 "$model/vae-oid.npz" >"$work/cut.npz"
run mask decode -q "$tokens" --size 3x3 --codec "$work/cut.npz"
expect_error 3 'cut.npz'
run mask decode -q "$tokens" --size 64x48 -o "$work/missing/mask.png"
expect_error 1 'missing/mask.png: cannot write'
for name in "$work/mask.jpg" -; do
    run mask decode -q "$tokens" --size 64x48 -o "$name"
    expect_error 2 "--out: found '$name', expected a name that ends in .png"
done

# A model that is converted keeps its codec: as a file, within a GGUF, and back.
run mask decode -q "$tokens" --size 640x480
expect_ok
expected=$(cat "$work/out")
run convert -q "$model" "$work/folder"
expect_ok
cmp -s "$model/vae-oid.npz" "$work/folder/vae-oid.npz" || failed 'the codec was not copied'
run convert -q "$model" "$work/one.gguf"
expect_ok
run mask decode -q "$tokens" --size 640x480 -m "$work/one.gguf"
expect_ok
expect_equal 'a codec in a GGUF' "$(cat "$work/out")" "$expected"
run inspect --json "$work/one.gguf"
expect_json usable:true 'unexpected[0'
run convert -q "$work/one.gguf" "$work/back"
expect_ok
run mask decode -q "$tokens" --size 640x480 -m "$work/back"
expect_ok
expect_equal 'a codec out of a GGUF' "$(cat "$work/out")" "$expected"
run convert -q "$work/one.gguf" "$work/two.gguf"
expect_ok
cmp -s "$work/one.gguf" "$work/two.gguf" || failed 'a GGUF differs from what it was made of'
echo damaged >"$work/folder/vae-oid.npz"
run convert -q "$work/folder" "$work/three.gguf"
expect_error 3 'vae-oid.npz'
[ ! -e "$work/three.gguf" ] || failed 'half a conversion stands there'

finish
