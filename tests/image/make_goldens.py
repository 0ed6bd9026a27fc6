#!/usr/bin/env python3
"""Makes the small pictures of tests/data/image and the table of what Pillow reads in them.

Usage: make_goldens.py [PHOTO_FOLDER]   (needs Pillow 13, numpy, transformers)

Writes pictures, goldens.txt (CRC-32 of RGB bytes after exif_transpose and
convert("RGB"), resizes, pixel values, cut files) and, with a folder of photos, photos.txt.
"""
import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps, ImageSequence

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data", "image")
WIDTH, HEIGHT = 37, 23
lines = []


def crc(array):
    return "%08x" % zlib.crc32(np.ascontiguousarray(array).tobytes())


def scene(width=WIDTH, height=HEIGHT, channels=3, seed=7):
    """Smooth waves with a little noise: no two rows, columns or corners alike."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    c = np.arange(channels)[None, None, :]
    wave = 127 + 90 * np.sin(7 * x + 3 * y + 2 * c) + 40 * (x - y * y)
    return np.clip(wave + rng.normal(0, 8, (height, width, channels)), 0, 255).astype(np.uint8)


def read_rgb(data):
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def save(name, data):
    with open(os.path.join(DATA, name), "wb") as file:
        file.write(data)


def add(name, data, pixels=None):
    """A picture and what Pillow reads in it (or `pixels`, where we differ on purpose)."""
    save(name, data)
    rgb = read_rgb(data) if pixels is None else pixels
    lines.append("decode %s %d %d %s" % (name, rgb.shape[1], rgb.shape[0], crc(rgb)))


def add_frames(name, data):
    add(name, data)
    frames = [np.array(f.convert("RGB")) for f in ImageSequence.Iterator(Image.open(io.BytesIO(data)))]
    lines.append("frames %s %d %s" % (name, len(frames), " ".join(crc(f) for f in frames)))


def encode(array, kind, mode=None, **options):
    out = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, kind, **options)
    return out.getvalue()


def tiff_orientation(value, big=False, kind=3):
    """The smallest EXIF block that holds only an orientation."""
    e = ">" if big else "<"
    cell = struct.pack(e + "HH", value, 0) if kind == 3 else struct.pack(e + "I", value)
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(e + "I", 8)
    return head + struct.pack(e + "HHHI", 1, 0x0112, kind, 1) + cell + struct.pack(e + "I", 0)


def jpeg_segment(data, marker, body):
    """data with a segment put in right after the start marker."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def xmp(value, element=False):
    inside = "<tiff:Orientation>%d</tiff:Orientation>" if element else 'tiff:Orientation="%d"'
    return ("<x:xmpmeta><rdf:Description %s</x:xmpmeta>" % (inside % value)).encode()


# ---- PNG, written here so that every depth, colour type and order occurs ----


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pack_rows(samples, depth):
    """samples [rows, values] -> one byte string a row, with filter 0."""
    rows = []
    for row in samples:
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8).ravel()
            packed = np.packbits(bits).tobytes()
        rows.append(b"\0" + packed)
    return b"".join(rows)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, depth, colour, interlace=False, before=b"", after=b""):
    """samples [height, width, channels] of `depth` bits."""
    height, width, channels = samples.shape
    parts = [(0, 0, 1, 1)] if not interlace else ADAM7
    raw = b""
    for x0, y0, dx, dy in parts:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += pack_rows(part.reshape(part.shape[0], -1).astype(np.int64), depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlace))
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(raw, 9)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def wide(channels):
    """16-bit samples whose low bytes are not zero."""
    a = scene(channels=channels).astype(np.int64)
    return a * 256 + (a * 77 + 13) % 256


def make_png():
    rng = np.random.default_rng(3)
    palette = chunk(b"PLTE", rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    for interlace in (False, True):
        tail = "_interlaced" if interlace else ""
        for depth in (1, 2, 4, 8):
            grey = scene(channels=1) >> (8 - depth)
            add("grey%d%s.png" % (depth, tail), png(grey, depth, 0, interlace))
            entries = chunk(b"PLTE", palette[8 : 8 + 3 * 2**depth])
            add("palette%d%s.png" % (depth, tail), png(grey, depth, 3, interlace, before=entries))
        add("rgb8%s.png" % tail, png(scene(), 8, 2, interlace))
        add("rgb16%s.png" % tail, png(wide(3), 16, 2, interlace))
        add("rgba8%s.png" % tail, png(scene(channels=4), 8, 6, interlace))
    add("rgba16.png", png(wide(4), 16, 6))
    add("grey_alpha8.png", png(scene(channels=2), 8, 4))
    add("grey_alpha16.png", png(wide(2), 16, 4))
    # Pillow clips 16-bit grey at 255; the high byte is what is meant.
    add("grey16.png", png(wide(1), 16, 0), pixels=np.repeat(scene(channels=1), 3, axis=2))
    grey = scene(channels=1)
    add("grey8_trns.png", png(grey, 8, 0, before=chunk(b"tRNS", struct.pack(">H", int(grey[0, 0, 0])))))
    rgb = scene()
    add("rgb8_trns.png", png(rgb, 8, 2, before=chunk(b"tRNS", struct.pack(">3H", *[int(v) for v in rgb[0, 0]]))))
    add("palette8_trns.png", png(grey, 8, 3, before=palette + chunk(b"tRNS", bytes(range(200)))))
    add("palette8_short.png", png(grey, 8, 3, before=chunk(b"PLTE", palette[8 : 8 + 300])))
    add("rgb8_gamma.png", png(rgb, 8, 2, before=chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0")))
    add("rgb8_one.png", png(rgb[:1, :1], 8, 2))
    for value in (3, 6):
        add("exif%d.png" % value, png(rgb, 8, 2, before=chunk(b"eXIf", tiff_orientation(value, big=True))))
    add("exif_late.png", png(rgb, 8, 2, after=chunk(b"eXIf", tiff_orientation(8))))
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(5)
    add("xmp5.png", png(rgb, 8, 2, before=chunk(b"iTXt", text)))


def make_jpeg():
    rgb = scene()
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        add("rgb%s.jpg" % name, encode(rgb, "JPEG", quality=85, subsampling=sampling))
    # 4:4:0 from 4:2:2 by exchanging the factors: in a square both have as many units.
    data = encode(scene(32, 32), "JPEG", quality=85, subsampling=1)
    at = data.index(b"\xff\xc0") + 11
    assert data[at] == 0x21
    add("rgb440.jpg", data[:at] + b"\x12" + data[at + 1 :])
    add("grey.jpg", encode(rgb, "JPEG", "L", quality=80))
    add("progressive.jpg", encode(rgb, "JPEG", quality=80, progressive=True))
    add("restart.jpg", encode(rgb, "JPEG", quality=80, restart_marker_blocks=1))
    add("stored_rgb.jpg", encode(rgb, "JPEG", quality=80, keep_rgb=True))
    add("low_quality.jpg", encode(rgb, "JPEG", quality=5))
    add("one.jpg", encode(rgb[:1, :1], "JPEG", quality=80))
    cmyk = Image.frombytes("CMYK", (WIDTH, HEIGHT), scene(channels=4).tobytes())
    data = encode(cmyk, "JPEG", quality=80)
    add("cmyk.jpg", data)
    at = data.index(b"Adobe")
    add("ycck.jpg", data[: at + 11] + b"\x02" + data[at + 12 :])  # the same coefficients, read as YCCK
    plain = data[: at - 4] + data[at - 4 + 2 + struct.unpack(">H", data[at - 2 : at])[0] :]
    add("cmyk_no_adobe.jpg", plain)
    base = encode(rgb, "JPEG", quality=70)
    for value in range(1, 9):
        exif = b"Exif\0\0" + tiff_orientation(value, big=value % 2 == 0)
        add("exif%d.jpg" % value, jpeg_segment(base, 0xE1, exif))
    add("exif0.jpg", jpeg_segment(base, 0xE1, b"Exif\0\0" + tiff_orientation(0)))
    add("exif9.jpg", jpeg_segment(base, 0xE1, b"Exif\0\0" + tiff_orientation(9)))
    add("exif6_long.jpg", jpeg_segment(base, 0xE1, b"Exif\0\0" + tiff_orientation(6, kind=4)))
    name = b"http://ns.adobe.com/xap/1.0/\0"
    add("xmp6.jpg", jpeg_segment(base, 0xE1, name + xmp(6)))
    add("xmp8.jpg", jpeg_segment(base, 0xE1, name + xmp(8, element=True)))
    both = jpeg_segment(jpeg_segment(base, 0xE1, name + xmp(6)), 0xE1, b"Exif\0\0" + tiff_orientation(3))
    add("exif3_xmp6.jpg", both)
    straight = read_rgb(base)  # broken metadata is no reason to refuse or to turn
    for number, broken in enumerate((b"", b"II", b"II*\0\xff\xff\xff\xff", tiff_orientation(6)[:12], b"XX*\0" + bytes(20))):
        add("exif_broken%d.jpg" % number, jpeg_segment(base, 0xE1, b"Exif\0\0" + broken), pixels=straight)


def make_webp():
    rgb, rgba = scene(), scene(channels=4)
    add("lossy.webp", encode(rgb, "WEBP", quality=70))
    add("lossless.webp", encode(rgb, "WEBP", lossless=True))
    add("lossy_alpha.webp", encode(rgba, "WEBP", quality=70))
    rgba[:, :9, 3] = 0
    add("lossless_alpha.webp", encode(rgba, "WEBP", lossless=True, exact=True))
    add("exif6.webp", encode(rgb, "WEBP", quality=70, exif=b"Exif\0\0" + tiff_orientation(6)))
    add("exif_bare7.webp", encode(rgb, "WEBP", quality=70, exif=tiff_orientation(7, big=True)))
    add("xmp4.webp", encode(rgb, "WEBP", quality=70, xmp=xmp(4)))
    nothing = b"II*\0\x08\0\0\0\0\0\0\0\0\0\0"  # no tag, and an odd length
    add("xmp3_odd.webp", encode(rgb, "WEBP", quality=70, exif=nothing, xmp=xmp(3)))
    frames = [Image.fromarray(scene(seed=s)) for s in (1, 2, 3)]
    add_frames("animated.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    clear = [Image.fromarray(np.roll(rgba, 5 * i, axis=1)) for i in range(4)]
    add_frames("animated_alpha.webp", encode(clear[0], "WEBP", save_all=True, append_images=clear[1:], quality=60))


# ---- GIF, written here for the sake of offsets, disposal and palettes ----


def lzw(pixels, bits):
    """Codes that reset the table before it grows: plain, valid, not small."""
    clear, end, size = 1 << bits, (1 << bits) + 1, bits + 1
    codes = []
    for i, value in enumerate(pixels):
        if i % ((1 << bits) - 2) == 0:
            codes.append(clear)
        codes.append(int(value))
    stream = sum(code << (size * i) for i, code in enumerate(codes + [end]))
    data = stream.to_bytes((size * (len(codes) + 1) + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return bytes([bits]) + blocks + b"\0"


def gif_frame(pixels, bits, at=(0, 0), palette=None, transparent=None, disposal=0, interlace=False, control=True):
    height, width = pixels.shape
    if interlace:
        order = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, height, step)]
        pixels = pixels[order]
    flags = (0x80 | (bits - 1) if palette else 0) | (0x40 if interlace else 0)
    out = b""
    if control:
        out += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (transparent is not None), 5, transparent or 0, 0)
    out += struct.pack("<BHHHHB", 0x2C, at[0], at[1], width, height, flags) + (palette or b"")
    return out + lzw(pixels.ravel(), bits)


def gif(frames, bits, palette=None, size=(WIDTH, HEIGHT), background=0, version=b"GIF89a"):
    flags = (0x80 | (bits - 1)) if palette else 0
    return version + struct.pack("<HHBBB", *size, flags, background, 0) + (palette or b"") + b"".join(frames) + b";"


def make_gif():
    rng = np.random.default_rng(5)
    bits = 4
    first, second = (rng.integers(0, 256, 3 << bits, dtype=np.uint8).tobytes() for _ in range(2))
    ramp = bytes(v for v in range(1 << bits) for _ in range(3))
    whole = scene(channels=1)[:, :, 0] >> (8 - bits)
    part = whole[4:15, 6:25]
    add("plain.gif", gif([gif_frame(whole, bits, control=False)], bits, first, version=b"GIF87a"))
    add("interlaced.gif", gif([gif_frame(whole, bits, interlace=True)], bits, first))
    add("transparent.gif", gif([gif_frame(whole, bits, transparent=int(whole[0, 0]))], bits, first))
    add("local.gif", gif([gif_frame(whole, bits, palette=second)], bits, first))
    add("only_local.gif", gif([gif_frame(whole, bits, palette=second)], bits))
    add("no_palette.gif", gif([gif_frame(whole, bits)], bits))
    add("ramp.gif", gif([gif_frame(whole, bits)], bits, ramp))
    add("offset.gif", gif([gif_frame(part, bits, at=(6, 4))], bits, first, background=3))
    add("offset_transparent.gif", gif([gif_frame(part, bits, at=(6, 4), transparent=9)], bits, first))
    add("outside.gif", gif([gif_frame(whole, bits, at=(5, 7))], bits, first, size=(20, 10)))
    add("photo.gif", encode(scene(), "GIF"))
    # Enough different strings to fill the table of 4096 codes more than once.
    noise = np.random.default_rng(9).integers(0, 256, (90, 110), dtype=np.uint8)
    add("noise.gif", encode(Image.fromarray(noise).quantize(256), "GIF"))
    for disposal in (0, 1, 2, 3):
        clip = [
            gif_frame(whole, bits, disposal=disposal),
            gif_frame(part, bits, at=(3, 2), transparent=int(part[0, 0]), disposal=disposal),
            gif_frame(part[::-1], bits, at=(10, 9), palette=second, disposal=disposal),
            gif_frame(whole[5:12, 5:30], bits, at=(2, 12), transparent=2),
            gif_frame(part.T, bits, at=(0, 0), control=False),
        ]
        add_frames("clip%d.gif" % disposal, gif(clip, bits, first, background=5))
    clip = [gif_frame(whole, bits, disposal=2, transparent=1), gif_frame(part, bits, at=(3, 2), transparent=4, disposal=2),
            gif_frame(part, bits, at=(12, 8), transparent=4, disposal=3), gif_frame(part.T, bits, at=(1, 1))]
    add_frames("clip_mixed.gif", gif(clip, bits, first))
    clip = [gif_frame(part, bits, at=(6, 4), disposal=3, transparent=7), gif_frame(part, bits, at=(3, 2), transparent=7),
            gif_frame(part, bits, at=(12, 8))]
    add_frames("clip_first_part.gif", gif(clip, bits, first))


def cuts():
    """How many bytes of a file Pillow needs; every shorter file is an error."""
    for name in ("rgb420.jpg", "progressive.jpg", "rgb8.png", "palette4_interlaced.png", "lossy.webp", "lossless.webp",
                 "animated.webp", "plain.gif"):
        data = open(os.path.join(DATA, name), "rb").read()
        need = len(data)
        for length in range(len(data)):
            try:
                read_rgb(data[:length])
                need = min(need, length)
            except Exception:
                need = len(data)
        lines.append("cut %s %d %d" % (name, need, len(data)))


def synthetic(width, height):
    x = np.arange(width)[None, :, None]
    y = np.arange(height)[:, None, None]
    c = np.arange(3)[None, None, :]
    return ((37 * x + 59 * y + 101 * c + 13 * ((x * y) % 17)) % 256).astype(np.uint8)


def resizes():
    """Pillow 13 of the synthetic picture that the test makes for itself."""
    sources = ((7, 5), (640, 480), (100, 333), (225, 223), (3000, 200), (50, 40), (1, 1), (1, 90), (90, 1), (270, 480))
    for width, height in sources:
        image = Image.fromarray(synthetic(width, height))
        for code in range(6):
            for size in ((224, 224), (13, 29), (1, 1), (300, height), (width, 60)):
                lines.append("resize %d %d %d %d %d %s" % (width, height, *size, code, crc(np.array(image.resize(size, code)))))


def preprocesses():
    """pixel_values of the published processor, turned to [rows, columns, channels]."""
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    for width, height in ((640, 480), (100, 333), (50, 40), (224, 224)):
        for side in (224, 448):
            processor = SiglipImageProcessorPil(size={"height": side, "width": side})
            got = processor(Image.fromarray(synthetic(width, height)), return_tensors="np")["pixel_values"][0]
            assert got.dtype == np.float32
            lines.append("preprocess %d %d %d hf:pillow13 %s" % (width, height, side, crc(got.transpose(1, 2, 0))))


def photos(folder):
    out = []
    for name in sorted(os.listdir(folder)):
        data = open(os.path.join(folder, name), "rb").read()
        rgb = read_rgb(data)
        out.append("decode %s %d %d %s" % (name, rgb.shape[1], rgb.shape[0], crc(rgb)))
        for side in (224, 448, 896):
            for code in (1, 2, 3):
                small = np.array(Image.fromarray(rgb).resize((side, side), code))
                out.append("photo %s %d %d %s" % (name, side, code, crc(small)))
    with open(os.path.join(DATA, "photos.txt"), "w") as file:
        file.write("\n".join(out) + "\n")


def main():
    os.makedirs(DATA, exist_ok=True)
    make_png()
    make_jpeg()
    make_webp()
    make_gif()
    cuts()
    resizes()
    preprocesses()
    with open(os.path.join(DATA, "goldens.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
    if len(sys.argv) > 1:
        photos(sys.argv[1])


main()
