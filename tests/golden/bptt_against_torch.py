"""Compares the program bptt with PyTorch on random cases.

    python3 bptt_against_torch.py PROGRAM [CASES [SEED]]

Each case (of 100) has random sizes, activation or cell, reduction and numbers,
with and without h0, stored as float64 or float32. Everything that `PROGRAM
--case ... --out ...` writes, from both of its sides, is compared with float64
autograd of PyTorch: |a - b| / max(|a|, |b|) <= 1e-12 for each quantity. Prints the worst
error. Needs PyTorch and safetensors, and is no part of the suite. Exit status 0
if all agree.
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from bptt_net import PHI, backpropagate, backpropagate_gated, random_case

TOLERANCE = 1e-12


def distance(a, b):
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    larger = max(a.norm().item(), b.norm().item())
    apart = (a - b).norm().item()
    return apart / larger if apart else 0.0


def draw(rng, number):
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    sizes = (rng.choice([1, 2, 7, 20, 50, 200]), rng.choice([1, 2, 5, 32]),
             rng.randint(1, 9), rng.randint(1, 20), rng.randint(1, 12))
    phi = (list(PHI) + ["lstm", "gru"])[number % 6]
    cell = "rnn" if phi in PHI else phi
    case = random_case(generator, *sizes, with_h0=rng.random() < 0.7, cell=cell)
    if rng.random() < 0.2:
        case = {name: a.float() if a.is_floating_point() else a
                for name, a in case.items()}
    return case, sizes, phi, rng.choice(["sum", "mean"])


def run(program, directory, case, want, phi, reduction):
    """What the program writes; a case of a gated cell holds PyTorch's figures,
    as the program has nothing else to compare with."""
    gated = phi not in PHI
    if gated:
        case = case | {"want." + name: a for name, a in want.items()}
    path, out = directory / "case.safetensors", directory / "out.safetensors"
    save_file(case, path)
    subprocess.run([program, "--case", path, "--out", out,
                    "--cell" if gated else "--activation", phi, "--reduction", reduction, "--tolerance", "1e-12",
                    "--no-differences"],
                   check=True, stdout=subprocess.DEVNULL)
    return load_file(out)


def compare(program, directory, rng, number):
    case, sizes, phi, reduction = draw(rng, number)
    make = backpropagate if phi in PHI else backpropagate_gated
    want = make(case, phi, reduction)
    have = run(program, directory, case, want, phi, reduction)
    names = {f"{side}.{name}" for side in ("autograd", "manual")
             for name in want}
    if names != set(have):
        sys.exit(f"arrays in the file: {sorted(have)}")
    worst = max((distance(a, want[name.split(".")[1]]), name)
                for name, a in have.items())
    return *worst, f"{phi} {reduction} T, B, D, H, K = {sizes}"


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        found = [compare(program, pathlib.Path(directory), rng, number)
                 for number in range(cases)]
    worst = max(found)
    bad = [f for f in found if not f[0] <= TOLERANCE]
    for error, name, case in bad:
        print(f"{name}: {error:.1e} in {case}")
    print(f"{cases} cases, seed {seed}: worst error {worst[0]:.1e} "
          f"({worst[1]} in {worst[2]}); {len(bad)} above {TOLERANCE:g}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
