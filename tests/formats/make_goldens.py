#!/usr/bin/env python3
"""Writes tests/formats/data/: small files made by the formats' own packages.

Needs numpy, safetensors and gguf. Element i of every numeric tensor is i - 5,
divided by 4 for floats; elements of quantised ones are raw bytes 7 i + 3 mod 256.
The tests know these rules and compare by value.
"""
import io
import json
import os
import struct
import sys
import warnings
import zipfile

import gguf
import numpy as np
import safetensors

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


def count(shape):
    return int(np.prod(shape, dtype=np.int64))


def floats(shape, dtype="<f4"):
    return ((np.arange(count(shape)) - 5) / 4).astype(dtype).reshape(shape)


def ints(shape, dtype):
    return (np.arange(count(shape)) - 5).astype(dtype).reshape(shape)


def bf16(shape):
    """bfloat16 as uint16; the values used need no rounding."""
    return (floats(shape).view(np.uint32) >> 16).astype("<u2")


def raw(size):
    return ((np.arange(size) * 7 + 3) % 256).astype(np.uint8)


def path(*names):
    full = os.path.join(HERE, *names)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def put(name, data):
    with open(path(name), "wb") as f:
        f.write(data)


def st(tensors, metadata=None):
    arrays = {k: np.ascontiguousarray(a) for k, (_, _, a) in tensors.items()}
    specs = {
        k: safetensors.TensorSpec(dtype=d, shape=s, data_ptr=arrays[k].ctypes.data, data_len=arrays[k].nbytes) for k, (d, s, _) in tensors.items()
    }
    return bytes(safetensors.serialize(specs, metadata=metadata))


def make_safetensors():
    types = {
        "f32": ("float32", (3, 4), floats((3, 4))),
        "bf16": ("bfloat16", (2, 5), bf16((2, 5))),
        "f16": ("float16", (7,), floats((7,), "<f2")),
        "f64": ("float64", (2, 2), floats((2, 2), "<f8")),
        "i8": ("int8", (9,), ints((9,), "i1")),
        "u8": ("uint8", (9,), ints((9,), "u1")),
        "i32": ("int32", (4,), ints((4,), "<i4")),
        "i64": ("int64", (3,), ints((3,), "<i8")),
        "scalar": ("float32", (), floats(())),
        "empty": ("float32", (0, 4), floats((0, 4))),
        "five": ("float32", (1, 2, 1, 2, 3), floats((1, 2, 1, 2, 3))),
        "six": ("float32", (1, 1, 1, 1, 1, 2), floats((2,))),
        "bool": ("bool", (2,), np.zeros(2, np.uint8)),
        "f8": ("float8_e4m3fn", (4,), np.zeros(4, np.uint8)),
        "Größe/β": ("float32", (1,), floats((1,))),
    }
    good = st(types, {"format": "pt"})
    put("types.safetensors", good)
    # The same with a header of odd length, as writers that did not pad made them.
    length = struct.unpack("<Q", good[:8])[0]
    header = good[8:8 + length].rstrip(b" ")
    header += b" " * (1 - len(header) % 2)
    put("unaligned.safetensors", struct.pack("<Q", len(header)) + header + good[8 + length:])
    put("none.safetensors", st({}))

    parts = {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}
    put("shards/one.safetensors", st({"a": ("float32", (2, 3), floats((2, 3))), "c": ("float16", (3,), floats((3,), "<f2"))}))
    put("shards/two.safetensors", st({"b": ("bfloat16", (4,), bf16((4,)))}))
    index = {"metadata": {"total_size": 38}, "weight_map": parts}
    put("shards/model.safetensors.index.json", json.dumps(index, indent=2).encode())
    for folder, edit in {
        "missing_shard": {"b": "three.safetensors"},
        "wrong_shard": {"b": "one.safetensors"},
        "absent_tensor": {"d": "one.safetensors"},
        "upward": {"b": "../shards/two.safetensors"},
        "absolute": {"b": "/etc/passwd"},
        "dots": {"b": ".."},
        "no_name": {"b": ""},
        "number": {"b": 3},
        "twice": {"b": "copy.safetensors"},
    }.items():
        put(f"shards_{folder}/model.safetensors.index.json", json.dumps({"weight_map": {**parts, **edit}}).encode())
        for name in ("one", "two"):
            with open(path("shards", name + ".safetensors"), "rb") as f:
                put(f"shards_{folder}/{name}.safetensors", f.read())
    with open(path("shards", "one.safetensors"), "rb") as f:
        put("shards_twice/copy.safetensors", f.read())
    put("shards_no_map/model.safetensors.index.json", b'{"metadata": {}}')
    put("shards_empty_map/model.safetensors.index.json", b'{"weight_map": {}}')
    put("shards_list/model.safetensors.index.json", b'["a"]')
    put("shards_not_json/model.safetensors.index.json", b'{"weight_map": {\n"a": }}')


def npy(array, version=None):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(out, array, version=version, allow_pickle=True)
    return out.getvalue()


def archive(name, members, method=zipfile.ZIP_STORED, zip64=False):
    with zipfile.ZipFile(path(name), "w", method) as z:
        for member, data in members.items():
            info = zipfile.ZipInfo(member + ".npy" if "." not in member else member, (2024, 1, 1, 0, 0, 0))
            info.compress_type = method
            with z.open(info, "w", force_zip64=zip64) as f:
                f.write(data)


def end64(name, source):
    """Rewrites an archive's end, and its entries' sizes, the way files past 4 GB have them."""
    with open(path(source), "rb") as f:
        data = f.read()
    end = data.rindex(b"PK\5\6")
    number, size, offset = struct.unpack("<HII", data[end + 10:end + 20])
    out, at, entries = data[:offset], offset, b""
    for _ in range(number):
        n, e, c = struct.unpack("<HHH", data[at + 28:at + 34])
        stored, own = struct.unpack("<II", data[at + 20:at + 28])
        begin = struct.unpack("<I", data[at + 42:at + 46])[0]
        extra = struct.pack("<HHI", 0xCAFE, 4, 7) + struct.pack("<HHQQQ", 1, 24, own, stored, begin)
        entry = bytearray(data[at:at + 46 + n])
        struct.pack_into("<II", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<H", entry, 30, len(extra))
        struct.pack_into("<H", entry, 32, 0)
        struct.pack_into("<I", entry, 42, 0xFFFFFFFF)
        entries += bytes(entry) + extra
        at += 46 + n + e + c
    where = len(out) + len(entries)
    out += entries
    out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, number, number, len(entries), offset)
    out += struct.pack("<IIQI", 0x07064B50, 0, where, 1)
    out += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    put(name, out)


def make_npz():
    arrays = {
        "params/f32": npy(floats((3, 4))),
        "params/a/b/f16": npy(floats((7,), "<f2")),
        "bf16": npy(bf16((2, 5)).view("V2")),
        "f64": npy(floats((2, 2), "<f8")),
        "i8": npy(ints((9,), "i1")),
        "u8": npy(ints((9,), "u1")),
        "i32": npy(ints((4,), "<i4"), (2, 0)),
        "i64": npy(ints((3,), "<i8"), (3, 0)),
        "scalar": npy(floats(())),
        "empty": npy(floats((0, 4))),
        "five": npy(floats((1, 2, 1, 2, 3))),
        "six": npy(floats((1, 1, 1, 1, 1, 2))),
        "zeros": npy(np.zeros((40, 25), "<f4")),
    }
    archive("stored.npz", arrays)
    archive("deflated.npz", arrays, zipfile.ZIP_DEFLATED)
    archive("forced64.npz", arrays, zip64=True)
    end64("zip64.npz", "stored.npz")
    end64("zip64_deflated.npz", "deflated.npz")
    odd = {
        "big": npy(floats((3,), ">f4")),
        "fortran": npy(np.asfortranarray(floats((2, 3)))),
        "objects": npy(np.array([None, 1], dtype=object)),
        "record": npy(np.zeros(2, dtype=[("x", "<f4"), ("y", "<i2", (2,))])),
        "bool": npy(np.zeros(2, bool)),
        "u4": npy(np.zeros(2, "<u4")),
        "text": npy(np.array(["abc"])),
        "eight": npy(floats((1, 1, 1, 1, 1, 1, 1, 2))),
        "notes.txt": b"not an array",
        "good": npy(floats((2,))),
    }
    archive("odd.npz", odd)
    archive("odd_deflated.npz", odd, zipfile.ZIP_DEFLATED)
    archive("none.npz", {})
    # Archives that lie: more data than the shape; one array twice; deflated data that goes on, or ends early.
    archive("mismatch.npz", {"a": npy(floats((5,))) + bytes(40000)}, zipfile.ZIP_DEFLATED)
    archive("mismatch_stored.npz", {"a": npy(floats((5,))) + bytes(4)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path("twice.npz"), "w") as z:
            for _ in range(2):
                z.writestr(zipfile.ZipInfo("same.npy"), npy(floats((2,))))
    whole = npy(floats((100,)))
    for name, data in (("bomb.npz", whole + bytes(100000)), ("short.npz", whole[:200])):
        archive(name, {"a": data}, zipfile.ZIP_DEFLATED)
        with open(path(name), "rb") as f:
            lying = bytearray(f.read())
        struct.pack_into("<I", lying, lying.index(b"PK\1\2") + 24, len(whole))
        put(name, bytes(lying))
    np.savez(path("numpy.npz"), a=floats((2, 3)), b=floats((4,), "<f2"))
    np.savez_compressed(path("numpy_compressed.npz"), a=floats((2, 3)), b=floats((4,), "<f2"))


def make_gguf():
    kinds, quants = gguf.GGUFValueType, gguf.GGMLQuantizationType

    def fill(writer):
        writer.add_uint8("u8", 200)
        writer.add_int8("i8", -3)
        writer.add_uint16("u16", 60000)
        writer.add_int16("i16", -300)
        writer.add_uint32("u32", 4000000000)
        writer.add_int32("i32", -70000)
        writer.add_uint64("u64", 2**63 + 5)
        writer.add_int64("i64", -(2**40))
        writer.add_float32("f32", 0.5)
        writer.add_float64("f64", -2.25)
        writer.add_bool("yes", True)
        writer.add_bool("no", False)
        writer.add_string("text", "Größe")
        writer.add_key_value("text.empty", "", kinds.STRING)
        writer.add_array("strings", ["a", "", "▁the", "\n"])
        writer.add_array("f32s", [0.5, -1.5, 3.0])
        writer.add_array("i32s", [1, -2, 3])
        writer.add_array("bools", [True, False])
        writer.add_key_value("u8s", [1, 2, 255], kinds.ARRAY, kinds.UINT8)
        writer.add_key_value("i64s", [1, -2**40], kinds.ARRAY, kinds.INT64)
        writer.add_key_value("f64s", [0.25, 4.0], kinds.ARRAY, kinds.FLOAT64)
        writer.add_key_value("nested", [[1, 2], [3]], kinds.ARRAY)
        writer.add_tensor("f32", floats((3, 4)))
        writer.add_tensor("f16", floats((7,), "<f2"))
        writer.add_tensor("bf16", bf16((2, 5)).view(np.uint8), raw_dtype=quants.BF16)
        writer.add_tensor("f64", floats((2, 2), "<f8"))
        writer.add_tensor("i8", ints((9,), "i1"))
        writer.add_tensor("i32", ints((4,), "<i4"))
        writer.add_tensor("i64", ints((3,), "<i8"))
        writer.add_tensor("four", floats((1, 2, 2, 3)))
        for name, block, size in (("Q8_0", 32, 34), ("Q4_0", 32, 18), ("Q4_1", 32, 20), ("Q4_K", 256, 144), ("Q5_K", 256, 176), ("Q6_K", 256, 210)):
            writer.add_tensor(name.lower(), raw(2 * 2 * size).reshape(2, 2 * size), raw_dtype=quants[name])

    def fill_tiles(writer):
        """Two matrices in layouts of pali's own, as docs/MODEL.md has their keys; the seed of a fuzz target."""
        for name, kind, rows, columns, size in (("a", "q8", 20, 60, 2 * 1024), ("b", "q4_0", 16, 64, 576)):
            writer.add_string(f"pali.tensor.{name}.type", kind)
            writer.add_string(f"pali.tensor.{name}.layout", "tiles")
            writer.add_array(f"pali.tensor.{name}.shape", [rows, columns])
            writer.add_tensor(name, ints((size,), "i1"))
        writer.add_tensor("a.scale", floats((20,)))

    def write(name, alignment=None, endianess=gguf.GGUFEndian.LITTLE, full=True, fill=fill):
        writer = gguf.GGUFWriter(path(name), "test", endianess=endianess)
        if alignment:
            writer.add_custom_alignment(alignment)
        if full:
            fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write("all.gguf")
    write("aligned64.gguf", 64)
    write("big.gguf", endianess=gguf.GGUFEndian.BIG)
    write("none.gguf", full=False)
    write("tiles.gguf", fill=fill_tiles)
    with open(path("all.gguf"), "rb") as f:
        data = bytearray(f.read())
    struct.pack_into("<I", data, 4, 2)
    put("version2.gguf", bytes(data))


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    make_safetensors()
    make_npz()
    make_gguf()
    sys.exit(0)
