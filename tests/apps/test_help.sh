#!/bin/sh
# help, version, and what is no command.
. "$(dirname "$0")/common.sh"

run help
expect_ok
for command in run chat score embed batch inspect eval convert mask train data bench help version; do
    run help
    expect_out "  $command "
    run help $command
    expect_ok
    expect_out "Usage: pali $command"
    cp "$work/out" "$work/first"
    run $command --help
    expect_ok
    cmp -s "$work/first" "$work/out" || failed "help $command and $command --help differ"
    # What options are for stands in one column, below those that are too long for theirs.
    awk 'waits { bad = bad || substr($0, 1, 29) ~ /[^ ]/ || substr($0, 30, 1) == " "; waits = 0; next }
         /^  (-[a-z],|   ) --[a-z]/ { waits = substr($0, 29, 1) != " " || substr($0, 30, 1) == " " }
         END { exit bad || waits }' "$work/out" || failed 'a text is out of its column'
    # Every line fits a terminal of usual width.
    awk 'length > 84 { exit 1 }' "$work/out" || failed 'a line is too long'
done
run --help
expect_ok
run help run
for option in model threads pin type lora tokenizer vision preprocess no-final-softcap max-tokens temp top-p top-k seed start special frames stride logprobs json quiet help; do
    expect_out "--$option"
done

run version
expect_ok
expect_out 'pali 0.'
cp "$work/out" "$work/first"
run --version
cmp -s "$work/first" "$work/out" || failed '--version differs from version'

run
expect_error 2 'a command is missing'
run rnu
expect_error 2 'did you mean run?'
run nothing-like-it
expect_error 2 "no command 'nothing-like-it'"
run --json run
expect_error 2 '--json'
run "$picture" 'caption en'
expect_error 2 'pali run'
run help nothing
expect_error 2 "no command 'nothing'"
run help run chat
expect_error 2 'one command at a time'
run version now
expect_error 2 "found 'now'"
run "$(printf 'two\nlines')"
expect_error 2 'two lines'
finish
