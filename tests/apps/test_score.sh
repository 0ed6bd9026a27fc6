#!/bin/sh
# score: choices from options and files, tables and JSON, a thousand of them, what is refused.
. "$(dirname "$0")/common.sh"

run score -q -m "$model" "$picture" 'caption en' --choices 'red circle|blue star|a red circle'
expect_ok
expect_out 'red circle'
expect_out 'log likelihood'
[ "$(wc -l <"$work/out")" = 5 ] || failed 'not a title, a head and three rows'

run score -q -m "$model" "$picture" 'caption en' --choices 'red circle|blue star' --choice 'a|b' --choice '' --json
expect_ok
[ "$(wc -l <"$work/out")" = 1 ] || failed 'the JSON is not one line'
expect_json 'choices[4' choices.0.choice:text choices.0.index:number choices.0.probability:number choices.0.log_likelihood:number choices.0.mean:number choices.0.tokens:number \
    by=total "model=$model" 'prompt=caption en' 'images[1' "images.0.path=$picture"
grep -qF '"choice":"a|b","index":2' "$work/out" || failed 'the third choice is not as it was given'
grep -q '"choice":"","index":3,[^}]*"tokens":1}' "$work/out" || failed 'the empty choice is not the end of text alone'

# By mean, without the end; from a file and from standard input, with lines as Windows has them.
run score -q -m "$model" "$picture" 'caption en' --choices 'red circle|star' --by mean --no-eos --json
expect_ok
expect_json by=mean eos:false
mean=$(cat "$work/out")
printf 'red circle\r\n\nstar\n' >"$work/choices"
run score -q -m "$model" "$picture" 'caption en' --choices-file "$work/choices" --by mean --no-eos --json
expect_equal 'a file of choices' "$(cat "$work/out")" "$mean"
fed "$work/choices" score -q -m "$model" "$picture" 'caption en' --choices-file - --by mean --no-eos --json
expect_equal 'choices on standard input' "$(cat "$work/out")" "$mean"
run score -q -m "$model" "$picture" "$data/tiny/b.png" 'caption en' --choices 'a|b' --json
expect_ok
expect_json 'images[2'

# A thousand, each once, and together certain.
i=0
while [ $i -lt 1000 ]; do
    echo "word $i of many"
    i=$((i + 1))
done >"$work/many"
run score -q -m "$model" "$picture" 'caption en' --choices-file "$work/many" --json
expect_ok
expect_json 'choices[1000' choices.999.tokens:number

run score -m "$model" "$picture" 'caption en'
expect_error 2 'there are no choices to score'
: >"$work/empty"
run score -m "$model" "$picture" 'caption en' --choices-file "$work/empty"
expect_error 2 'there are no choices to score'
run score -m "$model" "$picture" 'caption en' --choices-file "$work/none"
expect_error 4 "$work/none"
run score -m "$model" "$picture" 'caption en' --choices-file "$work"
expect_error 4 "$work"
run score -m "$model" "$picture" --choices 'a|b'
expect_error 2 'is a file, so the prompt after it is missing'
run score -q -m "$model" "$picture" 'caption en' --choice '' --no-eos
expect_error 4 'candidate 1: found no token'
run score -q -m "$model" "$picture" 'caption en' --choices 'a|b' --by length
expect_error 2 "--by: found 'length', expected total|mean"
finish
