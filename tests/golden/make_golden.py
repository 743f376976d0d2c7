"""Makes the golden files of this directory with PyTorch, in float64.

    python3 make_golden.py

rnn_<phi>_<layers>.safetensors: one forward and backward pass of
    loss = sum over steps, mean over the batch, of the cross entropy of
    fc(rnn(x, h0)), with the parameters "param.*", the input "x", "h0", the
    targets "y", the results "h", "h_last", "loss", and the gradients "grad.*".
lstm_<layers>.safetensors, gru_<layers>.safetensors: the same for these cells,
    with the squares of the last state added to the loss, and for the LSTM
    "c0" and "c_last".
"""

import torch
from safetensors.torch import save_file

T, B, I, H, K = 5, 3, 4, 6, 7


def contiguous(arrays):
    return {name: a.detach().contiguous() for name, a in arrays.items()}


def make_rnn(phi, layers, given_h0):
    torch.manual_seed(2385 + layers)
    model = torch.nn.ModuleDict({
        "rnn": torch.nn.RNN(I, H, layers, nonlinearity=phi),
        "fc": torch.nn.Linear(H, K),
    }).double()
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(layers, B, H, dtype=torch.float64) * 0.7
    h0 = (h0 if given_h0 else torch.zeros_like(h0)).requires_grad_()
    y = torch.randint(K, (T, B))
    h, h_last = model["rnn"](x, h0)
    h.retain_grad()
    loss = torch.nn.functional.cross_entropy(
        model["fc"](h).reshape(T * B, K), y.reshape(T * B),
        reduction="sum") / B
    loss.backward()
    out = {"x": x, "h0": h0, "y": y, "h": h, "h_last": h_last, "loss": loss,
           "grad.x": x.grad, "grad.h0": h0.grad}
    for name, p in model.named_parameters():
        out["param." + name] = p
        out["grad." + name] = p.grad
    save_file(contiguous(out), f"rnn_{phi}_{layers}.safetensors")


def make_gated(kind, layers, given):
    torch.manual_seed(4117 + layers)
    cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    model = torch.nn.ModuleDict({
        "rnn": cell(I, H, layers),
        "fc": torch.nn.Linear(H, K),
    }).double()
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    y = torch.randint(K, (T, B))
    names = ["h", "c"] if kind == "lstm" else ["h"]
    first = [torch.randn(layers, B, H, dtype=torch.float64) * 0.7 * given
             for _ in names]
    for state in first:
        state.requires_grad_()
    h, last = model["rnn"](x, tuple(first) if kind == "lstm" else first[0])
    last = last if kind == "lstm" else (last,)
    loss = torch.nn.functional.cross_entropy(
        model["fc"](h).reshape(T * B, K), y.reshape(T * B),
        reduction="sum") / B
    loss = loss + sum(state.square().sum() for state in last)
    loss.backward()
    out = {"x": x, "y": y, "h": h, "loss": loss, "grad.x": x.grad}
    for name, before, after in zip(names, first, last):
        out[name + "0"] = before
        out[name + "_last"] = after
        out[f"grad.{name}0"] = before.grad
    for name, p in model.named_parameters():
        out["param." + name] = p
        out["grad." + name] = p.grad
    save_file(contiguous(out), f"{kind}_{layers}.safetensors")


make_rnn("tanh", 1, given_h0=False)
make_rnn("tanh", 2, given_h0=True)
make_rnn("relu", 2, given_h0=True)
for kind in "lstm", "gru":
    make_gated(kind, 1, given=False)
    make_gated(kind, 2, given=True)
