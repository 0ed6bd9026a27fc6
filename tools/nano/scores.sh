#!/bin/sh
# What a nano is right about, by `pali eval`, all held-out rows of a kind at a time.
# usage: scores.sh PALI MODEL ROWS.jsonl
set -eu
pali=${1:?usage: scores.sh PALI MODEL ROWS.jsonl}
model=${2:?}
rows=${3:?}
part="$(dirname "$rows")/part.jsonl" # beside it, for the pictures' paths
report=$(mktemp)
trap 'rm -f "$part" "$report"' EXIT

# kind NAME FIGURE EXPRESSION BLOCK: of rows whose prompts fit, the figure of the first block of that name in the report.
kind() {
    if ! grep -E "\"prefix\": \"$3" "$rows" > "$part"; then
        printf '%-16s      0 rows\n' "$1"
        return
    fi
    "$pali" eval -q --no-confidence -m "$model" "$part" > "$report"
    awk -v name="$1" -v figure="$2" -v label="$4" '
        $1 == "rows" && !n { n = $2 }
        $1 == label { inside = 1 }
        $1 == figure && inside && !found { found = 1; printf "%-16s %6d rows  %-9s %.4f\n", name, n, figure, $2 }' "$report"
}
kind colours exact 'answer en what color' rows
kind counting exact 'answer en how many (\w+ )?(shapes|circles|squares|triangles|stars|crosses|rings|hearts)' rows
kind detection ap50 'detect ' boxes
kind OCR exact 'ocr"' rows
kind captions exact 'caption' rows
kind shapes exact 'answer en what shape' rows
kind 'yes or no' exact 'answer en is there' rows
kind letters exact 'answer en (how many letters|what is the)' rows
kind segmentation miou 'segment ' refcoco
