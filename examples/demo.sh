#!/bin/sh
# demo.sh [BUILD]: nano, the small model that comes with pali, answers about the
# pictures that come with it; then how to go on with real weights.
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

cat <<TXT

$right of $asked answers are those expected. nano knows only pictures of this kind.
Boxes and masks as a picture, which is there now, and as data:
    $pali run -m $nano --draw $build/answer.png $masked '$segment'
    $pali run -m $nano --json --confidence $masked '$segment'
Real weights come from Hugging Face, where their licence must be accepted once:
    https://huggingface.co/google/paligemma2-3b-mix-448
    hf download google/paligemma2-3b-mix-448
    $pali run -m google/paligemma2-3b-mix-448 photo.jpg "caption en"
A model is named by its hub name once it is downloaded (the local cache is used,
nothing is fetched), or by a folder or file; '$pali help run' tells the rest.
TXT
[ "$asked" -gt 0 ]
