#!/bin/sh
# run: answers, options in any place, several images, standard input, JSON, wrong files.
. "$(dirname "$0")/common.sh"
other=$data/tiny/b.png

run run -m "$model" --max-tokens 8 --quiet "$picture" 'caption en'
expect_ok
[ "$(wc -l <"$work/out")" -ge 1 ] || failed 'no final newline'
answer=$(cat "$work/out")

# Options stand anywhere, in both forms; -- ends them; the environment names the model.
run run "$picture" -qn8 --model="$model" 'caption en'
expect_error 2 "found 'n8'" # letters are not bundled
run run "$picture" -q -n8 --model="$model" 'caption en'
expect_equal 'options after the image' "$(cat "$work/out")" "$answer"
PALI_MODEL=$model run run "$picture" 'caption en' --quiet --max-tokens=8
expect_ok
expect_equal PALI_MODEL "$(cat "$work/out")" "$answer"
run run -q -n 8 -m "$model" -- "$picture" 'caption en'
expect_equal 'after --' "$(cat "$work/out")" "$answer"
run run -q -n 8 -m "$model" -- "$picture" --json
expect_ok # --json is the prompt
fed "$picture" run -q -n 8 -m "$model" - 'caption en'
expect_equal 'standard input' "$(cat "$work/out")" "$answer"
run run -q -n 8 -m "$model" --temp 0 "$picture" 'caption en'
expect_equal 'temperature 0' "$(cat "$work/out")" "$answer"
PALI_CPU=ref run run -q -n 8 -m "$model" "$picture" 'caption en'
expect_ok

# More threads than processors: said, done, the same answer.
more=$(($(getconf _NPROCESSORS_CONF) + 1))
run run -n 8 -m "$model" --threads $more "$picture" 'caption en'
[ "$code" = 0 ] || failed 'exit code not 0'
expect_err "pali: threads: found $more, expected at most the "
expect_equal 'many threads' "$(cat "$work/out")" "$answer"
run run -q -n 8 -m "$model" --threads $more --pin "$picture" 'caption en'
expect_ok
expect_equal 'pinned threads' "$(cat "$work/out")" "$answer"

# Searches: several continuations, one answer, the same every time.
run run -q -n 8 -m "$model" --beam 3 "$picture" 'caption en'
expect_ok
beams=$(cat "$work/out")
run run -q -n 8 -m "$model" --beam 3 --json --logprobs "$picture" 'caption en'
expect_ok
expect_json "text=$beams" logprobs.0:number
run run -q -n 8 -m "$model" --best-of 4 --temp 0.7 --seed 3 "$picture" 'caption en'
expect_ok
run run -q -n 8 -m "$model" --beam 2 --temp 1 "$picture" 'caption en'
expect_error 2 'beams: found 2 together with a temperature'
run run -q -n 8 -m "$model" --best-of 2 "$picture" 'caption en'
expect_error 2 'best_of: found 2 with temperature 0'

# --choices is cut at |, --labels at ;; what comes is one of the first, and objects of the second.
run run -m "$model" --choices 'yes|no|' "$picture" 'caption en'
expect_error 2 'choices: found nothing as number 3'
run run -m "$model" --choices 'only this' "$picture" 'caption en'
expect_ok
expect_equal 'one choice' "$(cat "$work/out")" 'only this'
run run -m "$model" --labels 'cat; car' "$picture" 'caption en'
expect_error 2 'labels: found a prompt without objects'
run run -m "$model" --labels 'cat;cat' "$picture" 'detect cat'
expect_error 2 "labels: found 'cat' twice"
run run -m "$model" --labels cat --constrain off "$picture" 'detect cat'
expect_error 2 'found "off" and labels'
run run -m "$model" --labels cat --confidence --max-objects 1 --json "$picture" 'detect dog'
expect_ok
expect_json confidence:number log_likelihood:number finish_reason=eos
run run -m "$model" --min-confidence 2 "$picture" 'detect cat'
expect_error 2 "--min-confidence: found '2'"

# One JSON object.
run run -q -n 8 -m "$model" --json "$picture" 'caption en'
expect_ok
[ "$(wc -l <"$work/out")" = 1 ] || failed 'the JSON is not one line'
expect_json "text=$answer" tokens:list finish_reason:text "model=$model" 'prompt=caption en' 'images[1' "images.0.path=$picture" images.0.width=61 images.0.height=47 \
    prompt_tokens:number timings.load:number timings.preprocess:number timings.encode:number timings.prefill:number timings.decode:number \
    timings.tokens_per_second:number peak_memory_bytes:number
run run -n 3 -m "$model" --json --logprobs "$picture" "$other" "$picture" 'detect "cat"'
expect_json 'images[3' "images.1.path=$other" 'prompt=detect "cat"' logprobs:list logprobs.0:number

# Objects: the picture is 61 x 47; a given start is parsed with what follows it.
run run -q -n 1 -m "$model" --json --start '<loc0000><loc0341><loc1023><loc0682> red car ; <loc0009><loc0001><loc0009><loc0002> cat ;' "$picture" 'caption en'
expect_json 'objects[2' 'objects.0.label=red car' 'objects.0.bins[4' objects.0.bins.3=682 objects.0.box.y1=0 objects.0.box.y2=47 objects.0.box.x2=40.6667 objects.0.box_normalized.x1=0.333333 \
    objects.1.label=cat 'objects.1.problem=no area'

run run -n 3 -m "$model" --logprobs "$picture" 'caption en'
[ "$code" = 0 ] || failed 'exit code'
expect_err '"' # a line a token

# The limit is told in both forms; one token is always possible.
run run -n 1 -m "$model" --json "$picture" 'caption en'
expect_json 'tokens[1'
reason=$(sed -n 's/.*"finish_reason":"\([a-z]*\)".*/\1/p' "$work/out")
run run -n 1 -m "$model" "$picture" 'caption en'
[ "$code" = 0 ] || failed 'exit code'
[ "$reason" != length ] || expect_err 'cut off after 1 tokens'

# Sampling: the same seed, the same answer.
run run -q -n 8 -m "$model" --temp 2 --top-k 50 --top-p 0.99 --seed 7 "$picture" 'caption en'
expect_ok
sampled=$(cat "$work/out")
run run -q -n 8 -m "$model" --temp 2 --top-k 50 --top-p 0.99 --seed 7 "$picture" 'caption en'
expect_equal 'the same seed' "$(cat "$work/out")" "$sampled"

run run -q -n 8 -m "$model" --frames 2 "$data/image/animated.webp" 'caption en' --json
expect_ok
expect_json 'images[2'

# A clip: from an animation, from its frames one by one, every third; and repeated where it is too short.
clip=$data/clip
run run -q -n 8 -m "$model" --frames 16 "$clip/clip.gif" 'caption en'
expect_ok
moving=$(cat "$work/out")
for way in "--frames 16 $clip/clip.webp" "--frames 16 $clip/00.png $clip/01.png $clip/02.png $clip/03.png $clip/04.png $clip/05.png $clip/06.png $clip/07.png \
    $clip/08.png $clip/09.png $clip/10.png $clip/11.png $clip/12.png $clip/13.png $clip/14.png $clip/15.png"; do
    # shellcheck disable=SC2086 # paths and options without spaces
    run run -q -n 8 -m "$model" $way 'caption en'
    expect_ok
    expect_equal "$way" "$(cat "$work/out")" "$moving"
done
run run -q -n 8 -m "$model" --json --frames 4 --stride 2 "$clip/00.png" "$clip/01.png" "$clip/02.png" "$clip/03.png" "$clip/04.png" 'caption en'
expect_json 'images[4' "images.0.path=$clip/00.png" "images.1.path=$clip/02.png" "images.2.path=$clip/04.png" "images.3.path=$clip/00.png"

# nano, where it is there, answers when no model is named, and says so.
run inspect nano
if [ "$code" = 0 ]; then
    run run -n 4 "$picture" 'caption en'
    [ "$code" = 0 ] || failed 'exit code'
    expect_err 'no model was named, so nano answers'
    run run -n 4 -q "$picture" 'caption en'
    expect_ok
    PALI_MODEL= run run -n 4 "$picture" 'caption en'
    expect_err 'no model was named, so nano answers'
    run run -n 4 -m nano "$picture" 'caption en'
    ! grep -q 'no model was named' "$work/err" || failed 'a note on a model that was named'
fi
PALI_MODEL=no/such/model run run "$picture" 'caption en'
expect_error 3 no/such/model

# Models that are none.
run run -q -n 1 -m no/such/model "$picture" 'caption en'
expect_error 3 no/such/model
mkdir "$work/empty"
run run -m "$work/empty" "$picture" 'caption en'
expect_error 3 "$work/empty"
run run -m "$picture" "$picture" 'caption en'
expect_error 3 "$picture"
run run -m "$model" --tokenizer "$work/none" "$picture" 'caption en'
expect_error 3 "$work/none"
run run -m "$model" --lora "$work/none" "$picture" 'caption en'
expect_error 3 "$work/none"
run run -m "$model" --preprocess odd "$picture" 'caption en'
expect_error 2 odd

# What was asked for is told in a pipe, too; an answer of nothing says so.
if [ "$model" = models/nano ]; then
    nano=models/nano/pictures
    run run -m "$model" $nano/detect-1.jpg 'detect cross' --confidence
    grep -q '^  cross  .* %  x ' "$work/err" || failed 'no object with its confidence on standard error'
    run run -m "$model" $nano/detect-1.jpg 'detect cross' --top-objects 1
    [ "$(grep -c '^  cross ' "$work/err")" -eq 1 ] || failed 'not one object on standard error'
    run run -m "$model" $nano/detect-1.jpg ocr --confidence
    grep -q 'no objects; the answer .* %' "$work/err" || failed 'no confidence of the answer on standard error'
    run run -q -m "$model" $nano/detect-1.jpg 'detect cross' --confidence
    expect_ok
    run run -m "$model" $nano/detect-1.jpg 'detect cross' -n 2 --confidence
    grep -q 'the answer is empty' "$work/err" || failed 'nothing said of an empty answer'
fi

# Pictures that are none.
echo 'only text' >"$work/text.png"
head -c 200 "$data/image/grey.jpg" >"$work/cut.jpg"
: >"$work/nothing.png"
for wrong in "$work/none.png" "$work/text.png" "$work/cut.jpg" "$work/nothing.png" "$work/empty"; do
    run run -m "$model" "$wrong" 'caption en'
    expect_error 4 "$wrong"
    run run --json -m "$model" "$picture" "$wrong" 'caption en'
    expect_error 4 "$wrong"
done
fed /dev/null run -m "$model" - 'caption en'
expect_error 4 ''

# A prompt beyond what fits.
long=$(awk 'BEGIN { for (i = 0; i < 20000; i++) printf "word " }')
run run -m "$model" "$picture" "$long"
about='a prompt of 20,000 words'
expect_error 4 prompt
run run -q -n 2 -m "$model" "$picture" ''
about='an empty prompt'
expect_ok

# Options that do not go together are told before any model is opened.
for command in run batch; do
    run $command -m /nowhere "$picture" 'detect cat' --best-of 3
    expect_error 2 'best_of: found 3 with temperature 0'
    run $command -m /nowhere "$picture" 'detect cat' --beam 3 --temp 1
    expect_error 2 'beams: found 3 together with a temperature'
done
run chat -m /nowhere --best-of 3
expect_error 2 'best_of: found 3 with temperature 0'
finish
