#!/bin/sh
# demo.sh [BUILD]: nano, the small model that comes with pali, answers about the
# pictures that come with it, and is taught a question that it does not know;
# then how to go on with real weights.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
pali=$build/apps/pali
nano=models/nano
pictures=$nano/pictures

[ -x "$pali" ] || { echo "demo: $pali is not built; make demo builds it" >&2; exit 1; }
[ -f $pictures/pictures.tsv ] || { echo "demo: $pictures/pictures.tsv is missing" >&2; exit 1; }

asked=0
right=0
shown=
masked= # the last picture with a mask, and its prompt
segment=
tab=$(printf '\t')
while IFS=$tab read -r file prompt expected; do
    case $file in '' | '#'* | file) continue ;; esac
    if [ "$file" != "$shown" ]; then
        printf '\n%s\n' "$pictures/$file"
        shown=$file
    fi
    printf '> %s\n' "$prompt"
    # in floats, as the expected answers were made: a box between two places else depends on the processor
    answer=$("$pali" run --quiet --activations f32 -m $nano "$pictures/$file" "$prompt" </dev/null)
    printf '%s\n' "$answer"
    asked=$((asked + 1))
    case $prompt in 'segment '*) masked="$pictures/$file" segment=$prompt ;; esac
    if [ "$answer" = "$expected" ]; then
        right=$((right + 1))
    else
        printf '  (expected: %s)\n' "$expected"
    fi
done <$pictures/pictures.tsv

[ -z "$masked" ] || "$pali" run --quiet -m $nano --draw "$build/answer.png" "$masked" "$segment" </dev/null >/dev/null

# A question that nano never saw, from 256 examples: an adapter, and what it is worth on others.
scenes=$build/tools/nano/pali-scenes
lesson=$build/lesson
taught=
if [ -x "$scenes" ]; then
    rm -rf "$lesson"
    mkdir -p "$lesson"
    "$scenes" --kind shapes --max-side 224 --task side --seed 101 --count 256 --out "$lesson/examples"
    "$scenes" --kind shapes --max-side 224 --task side --held-out --seed 71 --count 100 --out "$lesson/others"
    score() {
        "$pali" eval --quiet --no-confidence --model $nano "$@" "$lesson/others/rows.jsonl" | awk '$1 == "exact" && !n++ { printf "%.0f", 100 * $2 }'
    }
    printf '\nnano is taught "answer en what is leftmost?" (rightmost, highest, lowest) from 256 pictures:\n'
    before=$(score)
    "$pali" train recipes/transfer/lora.yaml model=$nano data="$lesson/examples/rows.jsonl" epochs=12 report=true out="$lesson/run" >"$lesson/log" 2>&1 || { cat "$lesson/log" >&2; exit 1; }
    grep -E '^(data|steps|trained|memory) |^step [0-9]*0 ' "$lesson/log" | sed -n '1,4p;$p'
    printf 'of 100 other pictures it answers %s before and %s after\n' "$before" "$(score --lora "$lesson/run/last")"
    field() { sed -n "1s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$lesson/others/rows.jsonl"; }
    taught="What it learned is an adapter; how it went is in $lesson/run/report.html:
    $pali run -m $nano --lora $lesson/run/last $lesson/others/$(field image) '$(field prefix)'
    $pali train recipes/transfer/lora.yaml data=ROWS.jsonl out=RUN
"
fi

cat <<TXT

$right of $asked answers are those expected. nano knows only pictures of this kind.
Boxes and masks as a picture, which is there now, and as data:
    $pali run -m $nano --draw $build/answer.png $masked '$segment'
    $pali run -m $nano --json --confidence $masked '$segment'
${taught}Real weights come from Hugging Face, where their licence must be accepted once:
    https://huggingface.co/google/paligemma2-3b-mix-448
    hf download google/paligemma2-3b-mix-448
    $pali run -m google/paligemma2-3b-mix-448 photo.jpg "caption en"
A model is named by its hub name once it is downloaded (the local cache is used,
nothing is fetched), or by a folder or file; '$pali help run' tells the rest.
TXT
[ "$asked" -gt 0 ]
