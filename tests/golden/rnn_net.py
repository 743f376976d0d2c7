"""Recurrent nets of PyTorch, for the scripts beside this file.

A configuration is a dict of cell ("rnn", "lstm", "gru"), nonlinearity, sizes
and switches. A case is a dict of float64 tensors: the parameters "param.rnn.*",
"x", perhaps "h0" and "c0", perhaps "lengths", and the covectors "w.h",
"w.h_last" and "w.c_last", whose inner products with the results add up to the
loss. Beyond its length a sequence in x holds numbers that must not matter.
"""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def make_net(c, dtype=torch.float64):
    options = {}
    if c["cell"] == "rnn":
        options["nonlinearity"] = c["nonlinearity"]
    if c["proj_size"]:
        options["proj_size"] = c["proj_size"]
    return CELLS[c["cell"]](
        c["input_size"], c["hidden_size"], c["num_layers"],
        bias=not c["no_bias"], batch_first=bool(c["batch_first"]),
        bidirectional=bool(c["bidirectional"]), **options).to(dtype)


def make_case(c, generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    T, B, H = c["T"], c["B"], c["hidden_size"]
    D, R = 1 + c["bidirectional"], c["proj_size"] or H
    parts = D * c["num_layers"]
    lead = (B, T) if c["batch_first"] else (T, B)
    case = {"x": normal(*lead, c["input_size"]), "w.h": normal(*lead, D * R),
            "w.h_last": normal(parts, B, R)}
    if c["cell"] == "lstm":
        case["w.c_last"] = normal(parts, B, H)
    if c["given"]:
        case["h0"] = normal(parts, B, R) * 0.7
        if c["cell"] == "lstm":
            case["c0"] = normal(parts, B, H) * 0.7
    if c["lengths"]:
        lengths = torch.randint(1, T + 1, (B,), generator=generator)
        lengths[int(torch.randint(B, (1,), generator=generator))] = T
        case["lengths"] = lengths
    for name, p in make_net(c).named_parameters():
        case["param.rnn." + name] = normal(*p.shape) / H ** 0.5
    return case


def run_net(net, case, x, first):
    lengths = case.get("lengths")
    if lengths is None:
        return net(x, first)
    packed = pack_padded_sequence(x, lengths, batch_first=net.batch_first,
                                  enforce_sorted=False)
    h, last = net(packed, first)
    steps = x.shape[1 if net.batch_first else 0]
    h, _ = pad_packed_sequence(h, batch_first=net.batch_first,
                               total_length=steps)
    return h, last


def backpropagate(c, case, dtype=torch.float64):
    """Results and gradients of a case, by name."""
    net = make_net(c, dtype)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(case["param.rnn." + name])
    leaves = {name: case[name].to(dtype, copy=True).requires_grad_()
              for name in ("x", "h0", "c0") if name in case}
    first = leaves.get("h0")
    if "c0" in leaves:
        first = (leaves["h0"], leaves["c0"])
    h, last = run_net(net, case, leaves["x"], first)
    out = {"h": h, "h_last": last[0] if c["cell"] == "lstm" else last}
    if c["cell"] == "lstm":
        out["c_last"] = last[1]
    sum((case["w." + name].to(dtype) * y).sum()
        for name, y in out.items()).backward()
    out |= {"grad." + name: a.grad for name, a in leaves.items()}
    out |= {"grad.rnn." + name: p.grad for name, p in net.named_parameters()}
    return {name: a.detach().contiguous() for name, a in out.items()}


def metadata(c):
    return {name: str(value) for name, value in c.items()}
