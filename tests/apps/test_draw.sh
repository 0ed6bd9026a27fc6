#!/bin/sh
# run and chat: answers drawn into files, masks, previews; what cannot be is said before any work.
. "$(dirname "$0")/common.sh"
escape=$(printf '\033')
# Objects that are known, whatever the model would say.
box='<loc0100><loc0100><loc0900><loc0900> cat'

for format in png JPG jpeg webp; do
    run run -q -m "$model" -n1 --start "$box" --draw "$work/a.$format" "$picture" 'detect cat'
    expect_ok
    expect_out '<loc0900> cat'
    case $format in
    png) magic=89504e47 ;;
    webp) magic=52494646 ;;
    *) magic=ffd8ff ;;
    esac
    case $(od -An -tx1 -N4 "$work/a.$format" | tr -d ' \n') in
    "$magic"*) ;;
    *) failed "a.$format does not begin as such a file does" ;;
    esac
    run run -q -m "$model" -n1 "$work/a.$format" 'caption en' # and can be read again
    expect_ok
done
cmp -s "$work/a.png" "$picture" && failed 'nothing was drawn'

# Without objects the picture stays as it was, and that is told.
run run -m "$model" -n1 --start 'a' --constrain off --draw "$work/none.png" "$picture" 'caption en'
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_err '--draw: the answer has no objects'
run run -q -m "$model" -n1 --start "$box" --draw "$work/two.png" "$picture" "$data/tiny/b.png" 'detect cat'
expect_ok

# Wrong names and places, before the model is opened (there is none of that name).
run run -m /nowhere --draw "$work/a.gif" "$picture" 'detect cat'
expect_error 2 '.jpg, .jpeg, .png or .webp'
run run -m /nowhere --draw - "$picture" 'detect cat'
expect_error 2 '.jpg, .jpeg, .png or .webp'
run run -m /nowhere --draw "$work/missing/a.png" "$picture" 'detect cat'
expect_error 1 'missing/a.png: cannot be written: No such file or directory'
mkdir "$work/folder.png"
run run -m /nowhere --draw "$work/folder.png" "$picture" 'detect cat'
expect_error 1 'it is a folder'
cp "$picture" "$work/own.png"
ln -s own.png "$work/link.png"
run run -m /nowhere --draw "$work/link.png" "$work/own.png" 'detect cat'
expect_error 2 'would be written over'
cmp -s "$work/own.png" "$picture" || failed 'the image was written over'
if [ -c /dev/full ]; then
    ln -s /dev/full "$work/full.png"
    run run -q -m "$model" -n1 --start "$box" --draw "$work/full.png" "$picture" 'detect cat'
    [ "$code" = 1 ] || failed "exit code $code, expected 1"
    expect_err 'No space left'
fi

# The folder of masks is made; without masks that is told, and nothing is in it.
run run -m "$model" -n1 --start "$box" --mask-dir "$work/masks" "$picture" 'detect cat'
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_err '--mask-dir: the answer has no masks'
[ -d "$work/masks" ] || failed 'the folder was not made'
[ -z "$(ls "$work/masks")" ] || failed 'there is something in the folder'
run run -m /nowhere --mask-dir "$work/own.png" "$picture" 'detect cat'
expect_error 1 'it is a file, expected a folder'
run run -m /nowhere --mask-dir "$work/no/masks" "$picture" 'detect cat'
expect_error 1 'cannot be made: No such file or directory'

# Masks: a file each, at the picture's size, named after picture, place and label; white where the mask is.
if [ -f "$model/vae-oid.npz" ]; then
    codes=$(for i in 015 018 022 032 004 082 082 014 125 089 089 018 021 075 018 028; do printf '<seg%s>' $i; done)
    cp "$picture" "$work/my photo.v2.png"
    run run -q -m "$model" -n1 --constrain off --start "<loc0041><loc0104><loc0355><loc0350>$codes Green ../Ring! ; <loc0041><loc0104><loc0355><loc0350>$codes ?! ;" \
        --mask-dir "$work/masks/" --draw "$work/masked.png" "$work/my photo.v2.png" 'segment ring'
    expect_ok
    expect_equal 'names of masks' "$(cd "$work/masks" && echo *)" 'my photo.v2-01-green-ring.png my photo.v2-02-object.png'
    run mask encode -m "$model" "$work/masks/my photo.v2-01-green-ring.png"
    [ "$code" = 0 ] || failed 'the mask cannot be read'
    expect_out '<seg' # it is not empty
    run run -q -m "$model" -n1 --constrain off --start "<loc0041><loc0104><loc0355><loc0350> Green ../Ring!" --draw "$work/boxed.png" "$picture" 'segment ring'
    cmp -s "$work/masked.png" "$work/boxed.png" && failed 'the mask was not drawn'
    chmod 500 "$work/masks"
    if [ ! -w "$work/masks" ]; then # root may write anywhere
        run run -m /nowhere --mask-dir "$work/masks" "$picture" 'segment ring'
        expect_error 1 'cannot be written to: Permission denied'
    fi
    chmod 700 "$work/masks"
fi

# Previews: as asked for; "auto" only on a terminal.
for kind in kitty iterm2 sixel; do
    run run -q -m "$model" -n1 --start "$box" --preview $kind "$picture" 'detect cat'
    expect_ok
    case $kind in
    kitty) expect_out "${escape}_Ga=T" ;;
    iterm2) expect_out "${escape}]1337;File=inline=1" ;;
    sixel) expect_out "${escape}P0;1;0q" ;;
    esac
done
run run -m "$model" -n1 --start "$box" --preview auto "$picture" 'detect cat'
[ "$code" = 0 ] || failed "exit code $code, expected 0"
expect_err 'standard output is no terminal'
grep -q "$escape" "$work/out" && failed 'escapes where there is no terminal'
run run -m /nowhere --json --preview kitty "$picture" 'detect cat'
expect_error 2 'both want standard output'
run run -m /nowhere --preview ascii "$picture" 'detect cat'
expect_error 2 "found 'ascii'"

# chat draws answers with objects, and never over the picture it shows.
printf 'detect cat\n/image %s\ndetect cat\n' "$work/chat.png" >"$work/prompts"
fed "$work/prompts" chat -q -m "$model" -n1 --start "$box" --draw "$work/chat.png" "$picture"
[ "$code" = 2 ] || failed "exit code $code, expected 2"
expect_err 'chat.png is one of the images and would be written over'
[ -f "$work/chat.png" ] || failed 'the first answer was not drawn'
printf 'caption en\n' >"$work/prompts"
fed "$work/prompts" chat -q -m "$model" -n1 --draw "$work/plain.png" "$picture"
expect_ok
[ ! -e "$work/plain.png" ] || failed 'an answer without objects was drawn'


# Masks of a chat: those of each answer; none is nothing to speak of.
mkdir "$work/pictures"
cp "$picture" "$work/pictures/one.png"
codes=$(for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do printf '<seg%03d>' $i; done)
# An object that is cut off has no mask; that is not for want of a codec.
run run -m "$model" -n1 --constrain off --start "<loc0100><loc0100><loc0900><loc0900>$codes cat" --mask-dir "$work/masks-of-run" "$picture" 'segment cat'
expect_err '--mask-dir: the answer has no masks'
printf 'segment cat\n' >"$work/prompts"
fed "$work/prompts" chat -q -m "$model" --constrain off -n1 --start "<loc0100><loc0100><loc0900><loc0900>$codes cat ;" --mask-dir "$work/masks-of-chat" "$work/pictures/one.png"
expect_ok
[ -n "$(ls "$work/masks-of-chat" | grep '^one-01-cat.*\.png$')" ] || failed 'the mask was not written'
printf 'caption en\n' >"$work/prompts"
fed "$work/prompts" chat -m "$model" -n1 --mask-dir "$work/masks-of-chat" "$work/pictures/one.png"
grep -q 'mask-dir' "$work/err" && failed 'an answer without masks is spoken of'

finish
