# common.sh: what the tests of the command share. A test is started as
#     sh test_NAME.sh PALI CHECK_JSON DATA MODEL
# with DATA the folder of test data and MODEL a model that answers quickly.
set -u
pali=$1
check_json=$2
data=$3
model=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PALI_MODEL PALI_THREADS PALI_PIN PALI_CPU NO_COLOR
PALI_THREADS=1 # more could be more than there are, which is told on standard error
export PALI_THREADS
picture=$data/tiny/a.png
: >"$work/out" >"$work/err"
failures=0
about='before a run'
code=none

# run ARGUMENT...: runs pali; its streams go to $work/out and $work/err, its exit code to $code.
run() {
    about="pali $*"
    code=0
    "$pali" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
}

# fed FILE ARGUMENT...: the same with FILE as standard input.
fed() {
    input=$1
    shift
    about="pali $* <$input"
    code=0
    "$pali" "$@" >"$work/out" 2>"$work/err" <"$input" || code=$?
}

failed() {
    failures=$((failures + 1))
    echo "FAILED: $about: $1"
    echo "  exit code $code; standard output:"
    head -n 20 "$work/out" | sed 's/^/    /'
    echo '  standard error:'
    head -n 20 "$work/err" | sed 's/^/    /'
}

# It worked, and said nothing (but notes that are allowed) on standard error.
expect_ok() {
    [ "$code" = 0 ] || failed "exit code $code, expected 0"
    [ ! -s "$work/err" ] || failed 'standard error is not empty'
}

# expect_error CODE WORDS: one line on standard error, holding WORDS; nothing on standard output.
expect_error() {
    [ "$code" = "$1" ] || failed "exit code $code, expected $1"
    [ "$(wc -l <"$work/err")" -eq 1 ] || failed 'not exactly one line on standard error'
    grep -q '^pali: ' "$work/err" || failed "the line does not begin with 'pali: '"
    grep -qF -e "$2" "$work/err" || failed "the line does not hold: $2"
    [ ! -s "$work/out" ] || failed 'standard output is not empty'
}

expect_out() {
    grep -qF -e "$1" "$work/out" || failed "standard output does not hold: $1"
}

expect_err() {
    grep -qF -e "$1" "$work/err" || failed "standard error does not hold: $1"
}

expect_json() {
    "$check_json" "$@" <"$work/out" >"$work/json" 2>&1 || { cat "$work/json"; failed 'the JSON is not as expected'; }
}

# expect_equal WHAT A B
expect_equal() {
    [ "$2" = "$3" ] || failed "$1: '$2' and '$3' differ"
}

finish() {
    [ "$failures" = 0 ] || { echo "$failures checks failed"; exit 1; }
    echo 'all checks passed'
    exit 0
}
