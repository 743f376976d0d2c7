"""The net of the derivation in PyTorch, for the scripts beside this file.

A case is a dict of tensors: x [T, B, D], y [T, B], W_xh [H, D], W_hh [H, H],
W_hy [K, H], b_h [H], b_y [K] and perhaps h0 [B, H]. Everything is float64.
"""

import torch

PHI = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z * 1.0,
}
GRADIENTS = ["W_xh", "W_hh", "W_hy", "b_h", "b_y", "h0"]


def random_case(generator, T, B, D, H, K, with_h0=True):
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    case = {
        "x": normal(T, B, D),
        "W_xh": normal(H, D) * 0.6,
        "W_hh": normal(H, H) * 0.7 / H ** 0.5,
        "W_hy": normal(K, H) * 0.8,
        "b_h": normal(H) * 0.3,
        "b_y": normal(K) * 0.4,
        "y": torch.randint(K, (T, B), generator=generator),
    }
    if with_h0:
        case["h0"] = normal(B, H) * 0.5
    return case


def backpropagate(case, phi, reduction):
    """All quantities of one forward and backward pass, by name."""
    x, y = case["x"].double(), case["y"]
    T, B, _ = x.shape
    H = case["W_hh"].shape[0]
    zeros = torch.zeros(B, H, dtype=torch.float64)
    p = {name: case.get(name, zeros).double().clone().requires_grad_()
         for name in GRADIENTS}
    h, signals = p["h0"], {"h": [], "delta_z": [], "logits": []}
    for t in range(T):
        z = x[t] @ p["W_xh"].T + h @ p["W_hh"].T + p["b_h"]
        h = PHI[phi](z)
        o = h @ p["W_hy"].T + p["b_y"]
        for name, step in (("delta_z", z), ("h", h), ("logits", o)):
            step.retain_grad()
            signals[name].append(step)
    logits = torch.stack(signals["logits"])
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(T * B, -1), y.reshape(T * B), reduction=reduction)
    loss.backward()
    out = {
        "loss": loss,
        "h": torch.stack(signals["h"]),
        "logits": logits,
        "delta_o": torch.stack([o.grad for o in signals["logits"]]),
        "delta_h": torch.stack([h.grad for h in signals["h"]]),
        "delta_z": torch.stack([z.grad for z in signals["delta_z"]]),
    }
    out.update({name: p[name].grad for name in GRADIENTS})
    return {name: a.detach().contiguous() for name, a in out.items()}
