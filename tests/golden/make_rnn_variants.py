"""Makes rnn/norm_*.safetensors and rnn/gru_before.safetensors, in float64.

    python3 make_rnn_variants.py

Cells that PyTorch does not have, written out step by step and differentiated by
it: with layer normalisation, and the GRU with its reset gate before the
product. One layer, one direction. Names as in rnn_net.py.
"""

import torch
from safetensors.torch import save_file
from torch.nn.functional import layer_norm

T, B, I, H = 5, 3, 3, 4


def norm(x, gain, bias=None):
    return layer_norm(x, x.shape[-1:], gain, bias)


def gates_of(z):
    return z.split(H, dim=-1)


def rnn(p, x, h, c):
    z = norm(x @ p["weight_ih"].T + h @ p["weight_hh"].T, p["norm_weight"],
             p["bias"])
    return z.tanh(), None


def lstm(p, x, h, c):
    z = norm(x @ p["weight_ih"].T, p["norm_ih_weight"])
    z = z + norm(h @ p["weight_hh"].T, p["norm_hh_weight"]) + p["bias"]
    i, f, g, o = gates_of(z)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * norm(c, p["norm_c_weight"],
                              p["norm_c_bias"]).tanh(), c


def gru(p, x, h, c):
    def parts(y, gain, bias):
        return (norm(y[:, :2 * H], gain[:2 * H], bias[:2 * H]),
                norm(y[:, 2 * H:], gain[2 * H:], bias[2 * H:]))

    x_ru, x_n = parts(x @ p["weight_ih"].T, p["norm_ih_weight"], p["bias_ih"])
    h_ru, h_n = parts(h @ p["weight_hh"].T, p["norm_hh_weight"], p["bias_hh"])
    r, u = (x_ru + h_ru).sigmoid().split(H, dim=-1)
    n = (x_n + r * h_n).tanh()
    return (1 - u) * n + u * h, None


def gru_before(p, x, h, c):
    xp = x @ p["weight_ih"].T + p["bias_ih"] + p["bias_hh"]
    W_r, W_u, W_n = p["weight_hh"].split(H)
    r = (xp[:, :H] + h @ W_r.T).sigmoid()
    u = (xp[:, H:2 * H] + h @ W_u.T).sigmoid()
    n = (xp[:, 2 * H:] + (r * h) @ W_n.T).tanh()
    return (1 - u) * n + u * h, None


def shapes(G, *vectors):
    return {"weight_ih": (G * H, I), "weight_hh": (G * H, H)} | dict(vectors)


FILES = {
    "norm_rnn": (rnn, shapes(1, ("norm_weight", (H,)), ("bias", (H,)))),
    "norm_lstm": (lstm, shapes(
        4, ("norm_ih_weight", (4 * H,)), ("norm_hh_weight", (4 * H,)),
        ("bias", (4 * H,)), ("norm_c_weight", (H,)), ("norm_c_bias", (H,)))),
    "norm_gru": (gru, shapes(
        3, ("norm_ih_weight", (3 * H,)), ("bias_ih", (3 * H,)),
        ("norm_hh_weight", (3 * H,)), ("bias_hh", (3 * H,)))),
    "gru_before": (gru_before, shapes(3, ("bias_ih", (3 * H,)),
                                      ("bias_hh", (3 * H,)))),
}


def make(name, number):
    step, sizes = FILES[name]
    generator = torch.Generator().manual_seed(7321 + number)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    leaves = {"x": normal(T, B, I), "h0": normal(1, B, H) * 0.7}
    if "lstm" in name:
        leaves["c0"] = normal(1, B, H) * 0.7
    leaves |= {f"rnn.{key}_l0": normal(*size) * 0.6
               for key, size in sizes.items()}
    for leaf in leaves.values():
        leaf.requires_grad_()
    p = {key: leaves[f"rnn.{key}_l0"] for key in sizes}
    h, c = leaves["h0"][0], leaves["c0"][0] if "c0" in leaves else None
    states = []
    for x_t in leaves["x"]:
        h, c = step(p, x_t, h, c)
        states.append(h)
    out = {"h": torch.stack(states), "h_last": h[None]}
    if c is not None:
        out["c_last"] = c[None]
    weights = {"w." + key: normal(*y.shape) for key, y in out.items()}
    sum((weights["w." + key] * y).sum() for key, y in out.items()).backward()
    arrays = out | weights
    for key, leaf in leaves.items():
        arrays[("param." if key.startswith("rnn.") else "") + key] = leaf
        arrays["grad." + key] = leaf.grad
    save_file({key: a.detach().contiguous() for key, a in arrays.items()},
              f"rnn/{name}.safetensors",
              {"cell": name.split("_")[name.startswith("norm")],
               "layer_norm": str(int(name.startswith("norm"))),
               "reset_before": str(int(name == "gru_before")),
               "num_layers": "1", "input_size": str(I), "hidden_size": str(H)})


for number, name in enumerate(FILES):
    make(name, number)
