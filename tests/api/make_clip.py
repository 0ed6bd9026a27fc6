"""Writes tests/data/clip: sixteen frames as an animated GIF, as an animated
WebP (lossless) and, as Pillow reads these two back, as one PNG each. Few
colours, so that a palette holds them and all three say the same. Run from the
project's root."""

import os
import sys

from PIL import Image, ImageDraw, ImageSequence

FOLDER = "tests/data/clip"
FRAMES = 16


def frame(i):
    picture = Image.new("RGB", (40, 32), (20, 40, 90))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((2 + 2 * i, 8, 10 + 2 * i, 16), fill=(230, 60, 40))
    draw.rectangle((30 - i, 20, 36 - i, 28), fill=(240, 220, 70))
    draw.line((0, i * 2, 39, 31 - i), fill=(255, 255, 255))
    return picture


def main():
    os.makedirs(FOLDER, exist_ok=True)
    frames = [frame(i) for i in range(FRAMES)]
    frames[0].save(f"{FOLDER}/clip.gif", save_all=True, append_images=frames[1:], duration=80, loop=0)
    frames[0].save(f"{FOLDER}/clip.webp", save_all=True, append_images=frames[1:], duration=80, lossless=True)
    for name in ("clip.gif", "clip.webp"):
        with Image.open(f"{FOLDER}/{name}") as clip:
            read = [each.convert("RGB") for each in ImageSequence.Iterator(clip)]
        if [each.tobytes() for each in read] != [each.tobytes() for each in frames]:
            sys.exit(f"{name}: Pillow does not read back what was written")
    for i, each in enumerate(frames):
        each.save(f"{FOLDER}/{i:02d}.png", optimize=True)


if __name__ == "__main__":
    main()
