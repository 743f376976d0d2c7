"""Makes the files npy/*.npy with NumPy: the same 2 x 3 numbers in every type,
order and version, and shapes without or with one axis.

    python3 make_npy.py
"""

import os

import numpy as np

VALUES = [[2.385, -0.7, 1e-3], [19.25, 3.0, -4.5]]


def save(name, array, version=(1, 0)):
    with open(os.path.join("npy", name + ".npy"), "wb") as out:
        np.lib.format.write_array(out, array, version=version)


save("f4", np.array(VALUES, "<f4"))
save("f8", np.array(VALUES, "<f8"), (2, 0))
save("f8_columns", np.asfortranarray(np.array(VALUES, "<f8")))
save("i8", np.array(VALUES).astype("<i8"), (3, 0))
save("u1", np.abs(np.array(VALUES)).astype("u1"))
save("bool", np.array(VALUES) > 0)
save("scalar", np.array(2.385))
save("vector", np.array(VALUES[0]))
save("empty", np.zeros((2, 0, 3), "<f4"))
save("cube_columns", np.asfortranarray(
    np.arange(24, dtype="<i8").reshape(2, 3, 4)))
save("big_endian", np.array(VALUES, ">f8"))
save("int32", np.array(VALUES).astype("<i4"))
