"""Makes bptt_*.safetensors of this directory with PyTorch, in float64.

    python3 make_bptt.py

Each file has a case as the program bptt reads it (x, y, h0, W_xh, ...; one has
no h0), the quantities that PyTorch computes from it as "want.NAME", and the
activation or cell and the reduction as metadata.
"""

import torch
from safetensors.torch import save_file

from bptt_net import backpropagate, backpropagate_gated, random_case


def make(phi, reduction, seed, *sizes, with_h0=True):
    generator = torch.Generator().manual_seed(seed)
    case = random_case(generator, *sizes, with_h0=with_h0)
    want = backpropagate(case, phi, reduction)
    case.update({"want." + name: a for name, a in want.items()})
    save_file(case, f"bptt_{phi}.safetensors",
              metadata={"activation": phi, "reduction": reduction})


def make_gated(cell, reduction, seed, *sizes, with_h0=True):
    generator = torch.Generator().manual_seed(seed)
    case = random_case(generator, *sizes, with_h0=with_h0, cell=cell)
    want = backpropagate_gated(case, cell, reduction)
    case.update({"want." + name: a for name, a in want.items()})
    save_file(case, f"bptt_{cell}.safetensors",
              metadata={"cell": cell, "reduction": reduction})


if __name__ == "__main__":
    #                             T  B  D  H  K
    make("tanh", "sum", 2385,     6, 1, 3, 4, 5)
    make("relu", "mean", 7321,    5, 3, 4, 6, 3)
    make("sigmoid", "sum", 4117,  4, 2, 2, 5, 4, with_h0=False)
    make_gated("lstm", "sum", 5119,     5, 3, 4, 3, 6)
    make_gated("gru", "mean", 6173,     6, 2, 3, 4, 5)
