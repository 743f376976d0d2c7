"""The net of the derivation in PyTorch, for the scripts beside this file; and
the same with an LSTM or a GRU in place of the simple cell.

A case is a dict of tensors: x [T, B, D], y [T, B], W_xh [H, D], W_hh [H, H],
W_hy [K, H], b_h [H], b_y [K] and perhaps h0 [B, H]. Everything is float64. With
G gates, 4 for LSTM and 3 for GRU, W_xh, W_hh and b_h have GH rows in PyTorch's
order, and there is b_hh [GH] and, for an LSTM, perhaps c0 [B, H].
"""

import torch

PHI = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z * 1.0,
}
GRADIENTS = ["W_xh", "W_hh", "W_hy", "b_h", "b_y", "h0"]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def random_case(generator, T, B, D, H, K, with_h0=True, cell="rnn"):
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    G = GATES[cell]
    case = {
        "x": normal(T, B, D),
        "W_xh": normal(G * H, D) * 0.6,
        "W_hh": normal(G * H, H) * 0.7 / H ** 0.5,
        "W_hy": normal(K, H) * 0.8,
        "b_h": normal(G * H) * 0.3,
        "b_y": normal(K) * 0.4,
        "y": torch.randint(K, (T, B), generator=generator),
    }
    if cell != "rnn":
        case["b_hh"] = normal(G * H) * 0.3
    if with_h0:
        case["h0"] = normal(B, H) * 0.5
    if with_h0 and cell == "lstm":
        case["c0"] = normal(B, H) * 0.5
    return case


def backpropagate_gated(case, cell, reduction):
    """All quantities, step by step through PyTorch's own cell. What it keeps to
    itself, dL/dz_t of an LSTM, is that of a bias added at step t alone."""
    x, y = case["x"].double(), case["y"]
    T, B, _ = x.shape
    H = case["W_hh"].shape[1]
    zeros = torch.zeros(B, H, dtype=torch.float64)
    names = GRADIENTS + ["b_hh"] + (["c0"] if cell == "lstm" else [])
    p = {name: case.get(name, zeros).double().clone().requires_grad_()
         for name in names}
    step = torch._VF.lstm_cell if cell == "lstm" else torch._VF.gru_cell
    state = (p["h0"], p["c0"]) if cell == "lstm" else p["h0"]
    extra = [torch.zeros(B, 4 * H, dtype=torch.float64, requires_grad=True)
             for _ in range(T)]
    h, logits = [], []
    for t in range(T):
        b_hh = p["b_hh"]
        if cell == "lstm":  # one row per sequence, so a batch of its own each
            rows = [step(x[t, b:b + 1],
                         (state[0][b:b + 1], state[1][b:b + 1]),
                         p["W_xh"], p["W_hh"], p["b_h"], b_hh + extra[t][b])
                    for b in range(B)]
            state = tuple(torch.cat(part) for part in zip(*rows))
            h.append(state[0])
        else:
            state = step(x[t], state, p["W_xh"], p["W_hh"], p["b_h"], b_hh)
            h.append(state)
        logits.append(h[t] @ p["W_hy"].T + p["b_y"])
        h[t].retain_grad()
        logits[t].retain_grad()
    loss = torch.nn.functional.cross_entropy(
        torch.stack(logits).reshape(T * B, -1), y.reshape(T * B),
        reduction=reduction)
    loss.backward()
    out = {"loss": loss, "h": torch.stack(h), "logits": torch.stack(logits),
           "delta_o": torch.stack([o.grad for o in logits]),
           "delta_h": torch.stack([s.grad for s in h])}
    if cell == "lstm":
        out["delta_z"] = torch.stack([z.grad for z in extra])
    out.update({name: p[name].grad for name in names})
    return {name: a.detach().contiguous() for name, a in out.items()}


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
