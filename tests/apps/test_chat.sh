#!/bin/sh
# chat: prompts from standard input, orders, errors that do not end it.
. "$(dirname "$0")/common.sh"
other=$data/tiny/b.png
printf 'caption en\n\ndetect cat\r\n' >"$work/prompts"

fed "$work/prompts" chat -q -n 4 -m "$model" "$picture" --json
expect_ok
[ "$(wc -l <"$work/out")" = 2 ] || failed 'not an object a prompt'
head -n 1 "$work/out" >"$work/first"
tail -n 1 "$work/out" >"$work/second"
cp "$work/first" "$work/out"
expect_json 'prompt=caption en' 'images[1' text:text
cp "$work/second" "$work/out"
expect_json 'prompt=detect cat' 'images[1'

# The same answers as one by one.
run run -q -n 4 -m "$model" "$picture" 'caption en'
cp "$work/out" "$work/single"
run run -q -n 4 -m "$model" "$picture" 'detect cat'
cat "$work/out" >>"$work/single"
fed "$work/prompts" chat -q -n 4 -m "$model" "$picture"
expect_ok
cmp -s "$work/single" "$work/out" || failed 'other answers than run gives'

# Orders; what goes wrong is told, and the chat goes on.
cp "$other" "$work/with space.png"
cat >"$work/prompts" <<TXT
caption en
/image
/image $work/none.png
/unknown
/image "$work/with space.png" $work/with\ space.png
caption en
/help
/quit
never
TXT
fed "$work/prompts" chat -q -n 4 -m "$model" --json
expect_equal 'exit code: that of the first error' "$code" 2
expect_err 'there is no image yet'
expect_err '/image: the name of a file is missing'
expect_err "$work/none.png"
expect_err "'/unknown' is unknown"
expect_err '/quit'
[ "$(wc -l <"$work/out")" = 1 ] || failed 'not one answer'
expect_json 'images[2' "images.1.path=$work/with space.png"

# Pictures stay when others cannot be opened.
printf '/image %s\ncaption en\n' "$work/none.png" >"$work/prompts"
fed "$work/prompts" chat -q -n 4 -m "$model" "$picture" --json
expect_equal 'exit code' "$code" 4
expect_json "images.0.path=$picture"

fed /dev/null chat -q -m "$model" "$picture"
expect_ok
fed /dev/null chat -m "$model" "$work/none.png"
expect_error 4 "$work/none.png"
fed /dev/null chat -m no/such/model "$picture"
expect_error 3 no/such/model
finish
