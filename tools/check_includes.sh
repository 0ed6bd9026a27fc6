#!/bin/sh
# check_includes.sh [ROOT]: holds the order of the rooms (docs/ARCHITECTURE.md)
# against every #include line. Prints each line that breaks it as FILE:LINE and
# fails; says nothing and succeeds when none does.
set -eu
cd "${1:-.}"

# The ground floor and the rooms on the way of the data, each seeing what stands before it.
order='base tensor kernels ops formats image text vision language model generate answer batch train eval api'
# Exceptions, as room:room it must not see although it comes before.
never='formats:ops eval:train'
# The files outside src that may look into every room: pali bench.
inside='^apps/pali/bench[a-z_]*[.][ch]$'

folders=
for folder in include src apps examples; do
    [ ! -d "$folder" ] || folders="$folders $folder"
done

# shellcheck disable=SC2086 # one word a folder
find $folders -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) |
    LC_ALL=C sort | xargs awk -v order="$order" -v never="$never" -v inside="$inside" '
function breaks(reason) {
    printf "%s:%d: %s\n", FILENAME, FNR, reason
    broken = 1
}
BEGIN {
    count = split(order, names, " ")
    for (i = 1; i <= count; i++)
        place[names[i]] = i
    count = split(never, names, " ")
    for (i = 1; i <= count; i++)
        forbidden[names[i]] = 1
}
FNR == 1 {
    split(FILENAME, part, "/")
    top = part[1]
    room = part[2]
    if (top == "src" && !(room in place))
        breaks("src/" room " is no room that tools/check_includes.sh knows")
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    quoted = $0 ~ /include[ \t]*"/
    path = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*["<]/, "", path)
    sub(/[">].*/, "", path)
    slash = index(path, "/")
    first = slash ? substr(path, 1, slash - 1) : ""
    if (path ~ /(^|\/)\.\.(\/|$)/)
        breaks("\"" path "\" climbs out of its folder; write ROOM/FILE")
    else if (first == "pali")
        next
    else if (first in place) {
        if (FILENAME ~ inside)
            next
        if (top != "src")
            breaks(top "/ includes \"" path "\"; it may see <pali/...> only")
        else if (place[first] > place[room])
            breaks(room " includes \"" path "\", which stands after it")
        else if ((room ":" first) in forbidden)
            breaks(room " includes \"" path "\"; it must not see " first)
    } else if (quoted && top == "include")
        breaks("a public header includes \"" path "\"; it may see <pali/...> only")
    else if (quoted && slash && top == "src")
        breaks(room " includes \"" path "\", which is in no room")
}
END { exit broken }'
