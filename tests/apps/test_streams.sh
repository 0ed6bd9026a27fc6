#!/bin/sh
# Streams that are closed, full or left; Ctrl-C; colour; the terminal.
. "$(dirname "$0")/common.sh"

about='closed standard output'
code=0
"$pali" run -q -n 2 -m "$model" "$picture" 'caption en' 2>"$work/err" >&- </dev/null || code=$?
: >"$work/out"
expect_error 1 'standard output'
if [ -w /dev/full ]; then
    about='full standard output'
    code=0
    "$pali" run -q -n 2 -m "$model" --json "$picture" 'caption en' 2>"$work/err" >/dev/full </dev/null || code=$?
    expect_error 1 'standard output'
fi
about='closed standard input and error'
code=0
"$pali" run -q -n 2 -m "$model" "$picture" 'caption en' >"$work/out" 2>&- <&- || code=$?
: >"$work/err"
expect_ok
code=0
"$pali" run -q -n 2 -m "$model" - 'caption en' >"$work/out" 2>"$work/err" <&- || code=$?
expect_error 4 ''

about='a reader that leaves'
"$pali" run -q -m "$model" "$picture" 'caption en' 2>"$work/err" </dev/null | :
[ ! -s "$work/err" ] || failed 'standard error is not empty'

if timeout --preserve-status 1 true 2>/dev/null; then
    about='Ctrl-C while run answers'
    # The tiny model does not come to an end by itself.
    code=0
    timeout --preserve-status -s INT 1 "$pali" run -m "$data/tiny/pg1" -n 8000 "$picture" 'caption en' >"$work/out" 2>"$work/err" </dev/null || code=$?
    expect_equal 'exit code' "$code" 130
    [ "$(wc -c <"$work/out")" -gt 1 ] || failed 'the answer so far was lost'
    [ "$(tail -c 1 "$work/out" | od -An -tx1 | tr -d ' ')" = 0a ] || failed 'no final newline'
    [ ! -s "$work/err" ] || failed 'standard error is not empty'
    code=0
    timeout --preserve-status -s INT 1 "$pali" run -m "$data/tiny/pg1" -n 8000 --json "$picture" 'caption en' >"$work/out" 2>"$work/err" </dev/null || code=$?
    expect_equal 'exit code' "$code" 130
    expect_json finish_reason=cancelled text:text
    about='Ctrl-C while chat waits'
    code=0
    sleep 2 | timeout --preserve-status -s INT 1 "$pali" chat -q -m "$model" "$picture" >"$work/out" 2>"$work/err" || code=$?
    expect_equal 'exit code' "$code" 130
    about='Ctrl-C while chat answers'
    for seconds in 1 5 25; do # a busy machine takes long to begin
        code=0
        { yes 'caption en' 2>/dev/null || :; } | timeout --preserve-status -s INT $seconds "$pali" chat -q -m "$model" "$picture" >"$work/out" 2>"$work/err" || code=$?
        [ ! -s "$work/out" ] || break
    done
    expect_equal 'exit code' "$code" 130
    [ -s "$work/out" ] || failed 'the answers were lost'
    [ ! -s "$work/err" ] || failed 'standard error is not empty'
fi

if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
    about='notes on a terminal'
    script -qec "'$pali' run -n 1 -m '$model' '$picture' 'caption en'" /dev/null >"$work/out" </dev/null
    grep -q 'tokens' "$work/out" || failed 'no timing line'
    grep -q "$(printf '\033')" "$work/out" || failed 'no colour'
    about='NO_COLOR on a terminal'
    NO_COLOR=1 script -qec "'$pali' run -n 1 -m '$model' '$picture' 'caption en'" /dev/null >"$work/out" </dev/null
    grep -q 'tokens' "$work/out" || failed 'no timing line'
    ! grep -q "$(printf '\033')" "$work/out" || failed 'there is colour'
fi
finish
