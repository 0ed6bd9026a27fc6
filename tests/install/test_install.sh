#!/bin/sh
# test_install.sh BUILD CMAKE CC: installs a build into an empty prefix, moves
# it, and compiles and runs a user of it found by pkg-config and by CMake.
set -eu
build=$1
cmake=$2
compiler=$3
consumer=$(dirname "$0")/consumer
tiny=$(dirname "$0")/../data/tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/prefix"
config=$(find "$work/prefix" -name pali.pc)
[ -n "$config" ] || { echo "no pali.pc was installed"; exit 1; }
LD_LIBRARY_PATH=$(dirname "$(dirname "$config")")
PKG_CONFIG_PATH=$(dirname "$config")
export LD_LIBRARY_PATH PKG_CONFIG_PATH

for header in "$work"/prefix/include/pali/*.h; do
    for language in 'c -std=c11' 'c++ -std=c++11'; do
        # shellcheck disable=SC2086 # two words
        if [ "${language%% *}" = c ] || command -v c++ >/dev/null; then
            echo "#include <pali/${header##*/}>" |
                "$compiler" -x $language -Wall -Wextra -Werror -pedantic -fsyntax-only "-I$work/prefix/include" -
        fi
    done
done

# A shared library exports the public functions and nothing else; in a static
# one they are the symbols of default visibility.
if command -v readelf >/dev/null; then
    library=$(find "$work/prefix" -name 'libpali.a' -o -name 'libpali.so')
    readelf -sW "$library" | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 ~ /^[0-9]+$/ { print $8 }' | sort -u >"$work/exported"
    grep -qx pali_status_text "$work/exported" || { echo "pali_status_text is not exported"; exit 1; }
    ! grep -v '^pali_' "$work/exported" || { echo "exported, and not public"; exit 1; }
fi

# shellcheck disable=SC2046 # several words
"$compiler" "$consumer/main.c" -o "$work/by_pkg_config" $(pkg-config --cflags --libs pali)
"$work/by_pkg_config" "$tiny/pg1" "$tiny/a.png" "caption en" >"$work/first_answer"

"$cmake" -S "$consumer" -B "$work/build" "-DCMAKE_C_COMPILER=$compiler" "-DCMAKE_PREFIX_PATH=$work/prefix" >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
"$cmake" --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/build/consumer" "$tiny/pg1" "$tiny/a.png" "caption en" >"$work/second_answer"

# All three users of the library say the same.
program=$work/prefix/bin/pali
echo "$("$program" --version | sed 's/^pali //') $("$program" run --quiet -n 4 -m "$tiny/pg1" "$tiny/a.png" "caption en")" >"$work/third_answer"
cmp "$work/first_answer" "$work/second_answer"
cmp "$work/first_answer" "$work/third_answer"
[ ! -d "$work/prefix/share/pali/nano" ] || "$program" inspect nano >"$work/log" || { cat "$work/log"; exit 1; }
