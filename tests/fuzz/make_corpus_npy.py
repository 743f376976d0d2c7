#!/usr/bin/env python3
"""Writes the corpus of fuzz_npy: small files, right and wrong, one for each
branch of the reader. usage: make_corpus_npy.py DIRECTORY"""
import os
import struct
import sys


def entry(descr="'<f4'", order="False", shape="(2,)"):
    return "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (
        descr, order, shape)


# name: (header, major version, bytes of data)
FILES = {
    "f4": (entry(), 1, 8),
    "f8_version_2": (entry("'<f8'", shape="(1, 2)"), 2, 16),
    "i8_version_3": (entry("'<i8'", shape="()"), 3, 8),
    "columns": (entry("'|u1'", "True", "(2, 3, 2)"), 1, 12),
    "bool": (entry("'|b1'", shape="(3,)"), 1, 3),
    "empty": (entry(shape="(2, 0)"), 1, 0),
    "other_quotes": (
        '{"shape":(2L,),"descr":"<f4","fortran_order":True}\n', 1, 8),
    "rank_8": (entry(shape="(1,1,1,1,1,1,1,2)"), 1, 8),
    "rank_9": (entry(shape="(1,1,1,1,1,1,1,1,2)"), 1, 8),
    "other_type": (entry("'>f4'"), 1, 8),
    "record": (entry("[('a', '<f4')]"), 1, 8),
    "order_number": (entry(order="0"), 1, 8),
    "shape_number": (entry(shape="(2)"), 1, 8),
    "shape_list": (entry(shape="[2]"), 1, 8),
    "size_negative": (entry(shape="(-2,)"), 1, 8),
    "size_float": (entry(shape="(2.0,)"), 1, 8),
    "size_too_long": (entry(shape="(99999999999999999999,)"), 1, 8),
    "size_overflows": (entry(shape="(4294967296, 4294967296)"), 1, 8),
    "size_huge": (entry(shape="(1152921504606846976,)"), 1, 8),
    "key_twice": ("{'descr': '<f4', 'descr': '<f4'}", 1, 8),
    "key_unknown": ("{'order': 1}", 1, 0),
    "key_missing": ("{'descr': '<f4'}", 1, 0),
    "escape": (entry("'<f\\x34'"), 1, 8),
    "not_closed": ("{'descr': '<f4', ", 1, 0),
    "no_dictionary": ("[]", 1, 0),
    "goes_on": (entry() + "x", 1, 8),
    "data_short": (entry(), 1, 7),
    "data_long": (entry(), 1, 9),
    "version_4": (entry(), 4, 8),
}
RAW = {
    "nothing": b"",
    "magic_only": b"\x93NUMPY",
    "other_magic": b"\x93NUMPI\1\0\2\0{}",
    "length_cut": b"\x93NUMPY\2\0\2\0",
    "length_beyond": b"\x93NUMPY\1\0\3\0{}",
    "length_huge": b"\x93NUMPY\3\0\xff\xff\xff\xff{}",
    "zero_byte": b"\x93NUMPY\1\0\3\0{\0}",
}


def main():
    room = sys.argv[1]
    os.makedirs(room, exist_ok=True)
    for name, (header, major, data) in FILES.items():
        header = header.encode()
        length = struct.pack("<H" if major == 1 else "<I", len(header))
        RAW[name] = (b"\x93NUMPY" + bytes([major, 0]) + length + header
                     + bytes((i * 37 + 11) % 256 for i in range(data)))
    for name, content in RAW.items():
        with open(os.path.join(room, name), "wb") as out:
            out.write(content)


main()
