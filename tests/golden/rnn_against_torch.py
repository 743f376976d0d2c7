"""Compares recurrent nets with PyTorch over a grid of configurations.

    python3 rnn_against_torch.py PROGRAM [SEED]

PROGRAM is rnn_case_write of the build. The grid: five cells (simple with tanh
and relu, LSTM, LSTM with projection, GRU), 1 and 3 layers, one direction and
both, full and different lengths, time or batch first, zero and given first
state; sizes and biases at random. Outputs, last states and all gradients are
compared: |a - b| / max(|a|, |b|) of each, 1e-12 in float64, and in float32
1e-5. Prints the worst of each cell. Needs PyTorch and safetensors, and is no
part of the suite. Exit status 0 if all agree.
"""

import itertools
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from rnn_net import backpropagate, make_case, metadata

CELLS = {"tanh RNN": ("rnn", "tanh", False), "relu RNN": ("rnn", "relu", False),
         "LSTM": ("lstm", "tanh", False), "LSTM, projected": ("lstm", "tanh",
                                                             True),
         "GRU": ("gru", "tanh", False)}
TYPES = {"f64": (torch.float64, 1e-12), "f32": (torch.float32, 1e-5)}


def grid(rng):
    for name, layers, *switches in itertools.product(
            CELLS, (1, 3), *[(0, 1)] * 4):
        cell, phi, projected = CELLS[name]
        bidirectional, lengths, batch_first, given = switches
        H = rng.randint(2, 9)
        yield name, {
            "cell": cell, "nonlinearity": phi, "num_layers": layers,
            "bidirectional": bidirectional, "lengths": lengths,
            "batch_first": batch_first, "given": given,
            "no_bias": int(rng.random() < 0.2), "hidden_size": H,
            "proj_size": rng.randint(1, H - 1) if projected else 0,
            "input_size": rng.randint(1, 7), "T": rng.randint(1, 12),
            "B": rng.randint(1, 6)}


def distance(a, b):
    if a is None or a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    larger = max(a.norm().item(), b.norm().item())
    apart = (a - b).norm().item()
    return apart / larger if apart else 0.0


def compare(program, directory, c, case, kind):
    dtype, _ = TYPES[kind]
    path, out = directory / "case.safetensors", directory / "out.safetensors"
    save_file(case, path, metadata(c))
    subprocess.run([program, path, kind, out], check=True)
    have, want = load_file(out), backpropagate(c, case, dtype)
    if have.keys() != want.keys():
        return float("inf"), str(have.keys() ^ want.keys())
    return max((distance(have[name], want[name]), name) for name in want)


def main():
    program = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 2385
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    worst, count, failed = {}, 0, 0
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        for cell, c in grid(rng):
            case = make_case(c, generator)
            count += 1
            for kind in TYPES:
                found = compare(program, directory, c, case, kind) + (c,)
                if found[0] > TYPES[kind][1]:
                    failed += 1
                    print("differs:", kind, *found)
                worst[cell, kind] = max(worst.get((cell, kind), (-1.0,)), found,
                                        key=lambda f: f[0])
    for (cell, kind), (error, name, c) in worst.items():
        print(f"{cell:16} {kind}  {error:8.1e}  {name}, {c['num_layers']} "
              f"layers, T={c['T']} B={c['B']} H={c['hidden_size']}")
    print(f"seed {seed}: {count} configurations, {failed} disagreements")
    return failed > 0


sys.exit(main())
