#!/usr/bin/env python3
"""Writes the corpus of fuzz_safetensors: small files, right and wrong, one for
each branch of the reader. usage: make_corpus.py DIRECTORY"""
import os
import struct
import sys


def entry(name, dtype, shape, begin, end):
    return '"%s":{"dtype":%s,"shape":%s,"data_offsets":[%s,%s]}' % (
        name, dtype, shape, begin, end)


def f32(name="a", shape="[2]", begin=0, end=8):
    return entry(name, '"F32"', shape, begin, end)


MIXED = ('"__metadata__":{"k":"v","format":"pt"},'
         + entry("W", '"F32"', "[3,1]", 16, 28) + ","
         + entry("y", '"I64"', "[]", 8, 16) + ","
         + entry("d", '"F64"', "[1,1]", 0, 8) + ","
         + entry("m", '"BOOL"', "[5]", 28, 33) + ","
         + entry("u", '"U8"', "[1]", 33, 34) + ","
         + entry("e", '"F64"', "[2,0]", 34, 34))
META = '"__metadata__":'

# name: (what stands between the braces, bytes of data)
FILES = {
    "mixed": (MIXED, 34),
    "nothing": ("", 0),
    "metadata_only": (META + '{"k":"v"}', 0),
    "one": (f32(), 8),
    "rank_8": (f32(shape="[1,1,1,1,1,1,1,2]"), 8),
    "rank_9": (f32(shape="[1,1,1,1,1,1,1,1,2]"), 8),
    "other_type": (entry("a", '"BF16"', "[4]", 0, 8), 8),
    "type_no_string": (entry("a", "32", "[2]", 0, 8), 8),
    "size_float": (f32(shape="[2.0]"), 8),
    "size_negative": (f32(shape="[-2]"), 8),
    "size_overflows": (f32(shape="[4294967296,4294967296]"), 8),
    "size_too_long": (f32(shape="[99999999999999999999]"), 8),
    "shape_no_array": (f32(shape="2"), 8),
    "offsets_overlap": (f32() + "," + f32("b", "[2]", 4, 12), 12),
    "offsets_hole": (f32() + "," + f32("b", "[2]", 12, 20), 20),
    "offsets_backwards": (f32(begin=8, end=0), 8),
    "offsets_far": (f32(end="9223372036854775807"), 8),
    "offsets_three": (f32(end="8,16"), 8),
    "offsets_wrong_size": (f32(end=12), 12),
    "name_twice": (f32() + "," + f32("a", "[2]", 8, 16), 16),
    "name_empty": (f32(""), 8),
    "name_escaped": (f32("\\u00e9\\n\\ud83d\\ude00"), 8),
    "name_nul": (f32("a\\u0000b"), 8),
    "name_no_utf8": (f32("\udcff"), 8),
    "metadata_number": (META + '{"k":3}', 0),
    "metadata_no_object": (META + '"v"', 0),
    "entry_no_object": ('"a":[]', 0),
    "entry_short": ('"a":{"dtype":"F32","shape":[]}', 4),
    "entry_extra": (f32()[:-1] + ',"x":1}', 8),
    "key_twice": ('"a":{"dtype":"F32","dtype":"F32","shape":[],'
                  '"data_offsets":[0,4]}', 4),
    "not_closed": ('"a":{', 0),
    "deep": ('"a":' + "[" * 60 + "]" * 60, 0),
    "trailing": (f32(), 9),
    "data_short": (f32(), 7),
}

# name: all bytes
RAW = {
    "empty": b"",
    "seven_bytes": b"\2\0\0\0\0\0\0",
    "length_only": b"\2\0\0\0\0\0\0\0",
    "length_huge": b"\xff" * 8 + b"{}",
    "length_negative": b"\0\0\0\0\0\0\0\x80{}",
    "length_beyond": b"\3\0\0\0\0\0\0\0{}",
    "header_empty": b"\0" * 8,
    "header_array": b"\2\0\0\0\0\0\0\0[]",
    "header_spaces": b"\6\0\0\0\0\0\0\0{}    ",
    "header_trailing": b"\3\0\0\0\0\0\0\0{}x",
}


def main():
    room = sys.argv[1]
    os.makedirs(room, exist_ok=True)
    for name, (inside, data) in FILES.items():
        header = ("{" + inside + "}").encode("utf-8", "surrogateescape")
        RAW[name] = (struct.pack("<Q", len(header)) + header
                     + bytes((i * 37 + 11) % 256 for i in range(data)))
    for name, content in RAW.items():
        with open(os.path.join(room, name), "wb") as out:
            out.write(content)


main()
