#!/bin/sh
# bench: every stage of a file and of a shape, in JSON and as a table; wrong options. Times are not judged.
. "$(dirname "$0")/common.sh"
quick='--seconds 0.02 --prompt-tokens 3'

# shellcheck disable=SC2086 # one word an option
run bench -m "$model" --json $quick --batch 1,3
expect_ok
expect_json "model=$model" weights=file type:text weight_bytes:number threads=1 'stages[8]' peak_memory_bytes:number \
    ceilings.memory_large_pages.one:number ceilings.memory_large_pages.all:number ceilings.memory_mapped_file.all:number \
    stages.0.stage=load stages.0.rate:number stages.1.stage=picture stages.1.bound=libjpeg stages.2.stage=resize stages.2.fraction:number \
    stages.3.stage=vision stages.3.operations:number stages.3.fraction:number stages.3.bound:text stages.4.stage=prefill stages.4.level:text \
    stages.5.stage=first-token stages.6.stage=decode stages.6.batch=1 stages.7.stage=decode stages.7.batch=3 stages.7.unit=GB/s stages.7.runs:number
level=$(sed -n 's/.*"stage":"vision","level":"\([a-z0-9_]*\)".*/\1/p' "$work/out")
expect_json "ceilings.products.$level.f32.one:number" "ceilings.products.$level.f32.all:number"
cp "$work/out" "$work/file.json"

# shellcheck disable=SC2086
run bench --shape nano --type q8_0 --json $quick --batch 2 --stage vision,prefill,decode
expect_ok
expect_json model=nano weights=random type=q8_0 'stages[3]' stages.0.count=64 stages.1.count=67 stages.2.count=68 stages.2.fraction:null
# Twice 64 * 588 * 192 for the patches, 6 * 64 * (4 * 192^2 + 2 * 192 * 576) and 6 * 2 * 64^2 * 192 for the blocks, 64 * 192^2 for the projector.
expect_json stages.0.operations=3.21159e+08

# shellcheck disable=SC2086
run bench --shape nano --type q8_tiles --activations int8 --json $quick --stage prefill
expect_json type=q8_tiles activations=int8 'stages[1]'

# shellcheck disable=SC2086
run bench --shape nano $quick --levels --stage prefill,resize
expect_ok
expect_out 'prefill, 67 tokens'
expect_out 'resize, to 112 px'
! grep -q ' ref ' "$work/out" || failed 'ref is among the levels'

python3 -c '' 2>/dev/null && {
    about='bench/compare.py'
    code=0
    python3 bench/compare.py "$work/file.json" "$work/file.json" >"$work/out" 2>"$work/err" || code=$?
    expect_ok
    expect_out '1.00 x  (within the spread)'
    expect_out 'decode, batch 3'
}

# refused CODE WORDS OPTION...
refused() {
    expected=$1
    words=$2
    shift 2
    run bench "$@"
    expect_error "$expected" "$words"
}
refused 2 "--stage: found 'vison', expected a list of ceilings, load" --stage vision,vison
refused 2 "--stage: found '', expected" --stage ''
refused 2 '--stage load: there is nothing to load without --model' --stage load
refused 2 "--batch: found '1,x', expected" --batch 1,x
refused 2 "--batch: found '0', expected" --batch 0
refused 2 "--batch: found '1,', expected" --batch 1,
refused 2 "--shape: shape: found 'paligemma-4b', expected one of" --shape paligemma-4b
refused 2 "--type: found 'i8', expected a type of weights" --shape nano --type i8
refused 2 'expected one of them' -m "$model" --shape nano
refused 2 "found 'nano'" nano
refused 2 '--seconds' --seconds -1
refused 2 '--prompt-tokens' --prompt-tokens 0
refused 3 no/such/model -m no/such/model
PALI_CPU=pentium refused 2 "PALI_CPU: found 'pentium'" --shape nano

# A shape that no memory holds is refused before any work, with one that fits.
refused 5 'what fits: --shape ' --shape paligemma2-28b-896 --type f32 --stage decode --batch 256
finish
