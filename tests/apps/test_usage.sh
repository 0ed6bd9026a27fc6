#!/bin/sh
# Wrong options and arguments of run, chat, inspect and eval: one line, exit code 2.
. "$(dirname "$0")/common.sh"

# refused OPTION... WORDS: run refuses the options, saying WORDS.
refused() {
    words=$1
    shift
    run run "$@" "$picture" 'caption en'
    expect_error 2 "$words"
    expect_err "(see 'pali help run')"
}

refused "--temp: found 'abc', expected a number from 0 to 100" --temp abc
refused "--temp: found '-1'" --temp -1
refused "--temp: found 'nan'" --temp nan
refused "--temp: found 'inf'" --temp=inf
refused "--temp: found ''" --temp=
refused "--temp: found '0x1'" --temp 1 --temp 0x1
refused "--temp: found ' 1'" --temp ' 1'
refused "--top-p: found '1.5', expected a number from 0 to 1" --top-p=1.5
refused "--top-k: found '2.5'" --top-k 2.5
refused "--max-tokens: found '0', expected a whole number from 1" --max-tokens 0
refused "--max-tokens: found '-5'" -n -5
refused "--max-tokens: found '5x'" -n5x
refused "--max-tokens: found '99999999999999999999'" --max-tokens 99999999999999999999
refused "--seed: found '-1'" --seed -1
refused "--seed: found '18446744073709551616'" --seed 18446744073709551616
refused "--threads: found '0'" --threads 0
refused "--frames: found '0'" --frames 0
refused "--type: found 'f64', expected f32|bf16|f16|q8_0|q4_0|q8" --type f64
refused "--type: found 'f32|bf16'" --type 'f32|bf16'
refused 'unknown option --max-tokns; did you mean --max-tokens?' --max-tokns=3
refused 'unknown option --frobnicate' --frobnicate
refused 'unknown option -z' -z
refused '--json takes no value' --json=1
refused '--quiet takes no value' -qx
refused '--model: its value MODEL is missing' --model --json

# What is missing.
run run
expect_error 2 'an image and a prompt are missing'
run run "$picture"
expect_error 2 'so the prompt after it is missing'
run run "$picture" "$picture"
expect_error 2 'so the prompt after it is missing'
run run "$picture" -
expect_error 2 'the prompt after it is missing'
run run 'caption en'
expect_error 2 'an image must come before the prompt'
run run -m
expect_error 2 '--model: its value MODEL is missing'
run run - - 'caption en'
expect_error 2 'standard input'
run run --stride 2 "$picture" "$picture" 'caption en'
expect_error 2 '--stride'
PALI_THREADS=many run run -m "$model" "$picture" 'caption en'
expect_error 2 "PALI_THREADS: found 'many'"
# The environment is looked at before any work: the picture is not missed yet.
PALI_PIN=yes run run -m "$model" no-such.png 'caption en'
expect_error 2 "PALI_PIN: found 'yes', expected 0 or 1"
PALI_CPU=fast run run -m "$model" no-such.png 'caption en'
expect_error 2 "PALI_CPU: found 'fast', expected one of: ref"
PALI_CPU=fast run inspect "$model"
expect_error 2 "PALI_CPU: found 'fast'"

run chat -m "$model" -
expect_error 2 'standard input'
run inspect
expect_error 2 'a model is missing'
run inspect "$model" "$model"
expect_error 2 'one model at a time'
run inspect --logprobs "$model"
expect_error 2 'unknown option --logprobs'
run eval -m "$model"
expect_error 2 'one file of rows expected, found 0'
run eval -m "$model" --limit 0 rows.jsonl
expect_error 2 '--limit'
run eval -m "$model" --json rows.jsonl more.jsonl
expect_error 2 'found 2'
finish
