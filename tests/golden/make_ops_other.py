"""Makes ops_other.safetensors: what PyTorch computes, in float64, for the ops
that are not elementwise.

    python3 make_ops_other.py

Of each case "<op>@<case>" the file has the operands ".x0", ".x1", ..., the
result ".y", a random ".gy", and the gradients ".gx0", ... of <gy, y> for the
float operands. Ops that PyTorch lacks are written out with those it has.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

out = {}
G = torch.Generator().manual_seed(2385)


def f(*shape, lo=-2.0, hi=2.0):
    x = lo + (hi - lo) * torch.rand(shape, dtype=torch.float64, generator=G)
    return x.requires_grad_()


def i(limit, *shape):
    return torch.randint(limit, shape, generator=G)


def given(values):
    return torch.tensor(values, dtype=torch.float64).requires_grad_()


def case(name, function, *x, wanted=None):
    """`wanted`: how many leading operands have a gradient; None: all floats."""
    y = function(*x)
    for k, v in enumerate(x):
        out[f"{name}.x{k}"] = v.detach().contiguous().clone()
    out[f"{name}.y"] = y.detach().contiguous().clone()
    floats = [k for k, v in enumerate(x)
              if v.dtype == torch.float64 and (wanted is None or k < wanted)]
    if not y.requires_grad:
        return
    gy = f(*y.shape).detach()
    out[f"{name}.gy"] = gy
    grads = torch.autograd.grad(y, [x[k] for k in floats], gy,
                                allow_unused=True, materialize_grads=True)
    for k, g in zip(floats, grads):
        out[f"{name}.gx{k}"] = g.contiguous().clone()


def slice_grad(g, axis, start, step, size):
    shape = list(g.shape)
    shape[axis] = size
    index = torch.arange(g.shape[axis]) * step + start
    return torch.zeros(shape, dtype=g.dtype).index_add(axis, index, g)


def share(x, y):
    equal = (x == y).double()
    return equal / equal.sum(-1, keepdim=True)


def rstd(x, eps):
    return (x.var(-1, correction=0, keepdim=True) + eps).rsqrt()


def norm_grad(a, y, r):
    return r * (a - a.mean(-1, keepdim=True)
                - y * (a * y).mean(-1, keepdim=True))


def philox(seed, n):
    """64-bit number n of a seed: Philox4x32-10 of counter n // 2."""
    low = 0xFFFFFFFF
    c = [n // 2 & low, n // 2 >> 32, 0, 0]
    k = [seed & low, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & low, a >> 32 ^ c[3] ^ k[1], a & low]
        k = [k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low]
    return c[2 * (n % 2) + 1] << 32 | c[2 * (n % 2)]


def dropout(x, p, seed, counter):
    u = [(philox(seed, counter + k) >> 11) * 2.0**-53
         for k in range(x.numel())]
    keep = torch.tensor(u, dtype=torch.float64).reshape(x.shape) >= p
    return x * keep / (1 - p)


def cross_entropy_grad(gy, o, y):
    return gy[..., None] * (o.softmax(-1) - F.one_hot(y, o.shape[-1]))


def sum_slices(*x):
    starts, y = x[-1].tolist(), torch.zeros(4, 3, dtype=torch.float64)
    for part, start in zip(x, starts):
        y = y + slice_grad(part, 0, start, 1, 4)
    return y


def reductions():
    case("sum@all", lambda x: x.sum(), f(2, 3))
    case("sum@some", lambda x: x.sum((0, 2)), f(2, 3, 2))
    case("sum@keep", lambda x: x.sum(-1, keepdim=True), f(2, 3))
    case("sum_to@row", lambda x: x.sum_to_size(1, 3), f(2, 2, 3))
    case("mean@all", lambda x: x.mean(), f(2, 3))
    case("mean@axis", lambda x: x.mean(1), f(2, 3))
    case("max@axis", lambda x: x.amax(1), f(2, 4))
    case("max@ties", lambda x: x.amax(1),
         given([[1.5, -2.0, 1.5], [0.25, 0.25, 0.25]]))
    case("max@all", lambda x: x.amax(), f(2, 3))
    case("min@axes", lambda x: x.amin((0, 2), keepdim=True), f(2, 3, 2))
    case("min@ties", lambda x: x.amin(0), given([[1.5, -2.0], [1.5, 7.25]]))
    case("extreme_share@ties", lambda x, y: share(x, y),
         given([[1.5, -2.0, 1.5], [0.2, 0.7, 0.3]]), given([[1.5], [0.7]]))
    case("argmax@axis", lambda x: x.argmax(1), f(2, 4))
    case("argmin@keep", lambda x: x.argmin(0, keepdim=True), f(4, 2))
    case("var@sample", lambda x: x.var(1, correction=1), f(2, 4))
    case("var@population", lambda x: x.var((0, 1), correction=0), f(2, 4))
    case("norm@axis", lambda x: torch.linalg.vector_norm(x, dim=1), f(2, 4))
    case("norm@zero", lambda x: torch.linalg.vector_norm(x, dim=1),
         given([[0.0, 0.0], [3.0, -4.5]]))
    case("sqrt0@plain", lambda x: x.sqrt(), f(4, lo=0.1))
    case("div0@plain", lambda a, b: a / b, f(2, 3), f(3, lo=0.3))
    case("logsumexp@axis", lambda x: x.logsumexp(1), f(2, 4))
    case("logsumexp@far", lambda x: x.logsumexp(0, keepdim=True),
         given([[900.0, -1e4], [899.5, -1e4 - 2]]))
    case("logsumexp@inf", lambda x: x.logsumexp(1),
         given([[-torch.inf, 0.7, -torch.inf, 0.2]]))
    case("exp_sub@plain", lambda a, b: (a - b).exp(), f(2, 3), f(2, 1))
    case("cumsum@axis", lambda x: x.cumsum(1), f(2, 4))
    case("cumsum@reverse", lambda x: x.flip(0).cumsum(0).flip(0), f(4, 2))


def products():
    case("matmul@nn", lambda a, b: a @ b, f(2, 3), f(3, 4))
    case("matmul@tt", lambda a, b: a.T @ b.T, f(3, 2), f(4, 3))
    case("addmm@nt", lambda c, a, b: c + a @ b.T, f(4), f(2, 3), f(4, 3))
    case("linear@batch", F.linear, f(2, 2, 3), f(4, 3), f(4))
    case("bmm@nn", torch.matmul, f(2, 2, 3), f(2, 3, 2))
    case("bmm@broadcast", lambda a, b: a @ b.mT, f(2, 1, 2, 3), f(2, 2, 3))
    case("bmm@tn", lambda a, b: a.mT @ b, f(3, 2), f(2, 3, 2))
    case("dot@plain", torch.dot, f(5), f(5))
    case("outer@plain", torch.outer, f(3), f(4))


def shapes():
    case("reshape@plain", lambda x: x.reshape(3, 2), f(2, 3))
    case("permute@plain", lambda x: x.permute(2, 0, 1), f(2, 3, 2))
    case("narrow@plain", lambda x: x.narrow(1, 1, 2), f(2, 4))
    case("select@plain", lambda x: x.select(1, -1), f(2, 3))
    case("expand@plain", lambda x: x.expand(2, 3, 2), f(3, 1))
    case("detach@plain", lambda x: x.detach(), f(2, 2))
    case("copy@plain", lambda x: x.T.contiguous(), f(2, 3))
    case("slice@step", lambda x: x[:, 1::2], f(2, 5))
    case("slice@back", lambda x: x.flip(1)[:, 1::2], f(2, 5))
    case("slice_grad@step", lambda g: slice_grad(g, 1, 1, 2, 6), f(2, 3))
    case("flip@two", lambda x: x.flip((0, 2)), f(2, 3, 2))
    case("squeeze@plain", lambda x: x.squeeze(1), f(2, 1, 3))
    case("unsqueeze@plain", lambda x: x.unsqueeze(-1), f(2, 3))
    case("flatten@plain", lambda x: x.flatten(1, 2), f(2, 3, 2))
    case("split@second", lambda x: x.split([2, 3], 1)[1], f(2, 5))
    case("chunk@last", lambda x: x.chunk(3, 0)[2], f(5, 2))
    case("pad@plain", lambda x: F.pad(x, (1, 2, 0, 1), value=2.385), f(2, 3))
    case("stack@plain", lambda a, b: torch.stack((a, b), 1), f(2, 3), f(2, 3))
    case("concat@plain", lambda a, b: torch.cat((a, b), 1), f(2, 3), f(2, 2))
    case("sum_slices@overlap", sum_slices, f(2, 3), f(3, 3),
         torch.tensor([2, 0]))


def indices():
    case("embedding@plain", lambda t, k: F.embedding(k, t), f(3, 2), i(3, 2, 3))
    case("embedding_grad@plain",
         lambda g, k: torch.zeros(3, 2, dtype=g.dtype).index_add(0, k, g),
         f(5, 2), i(3, 5))
    case("gather@plain", lambda x, k: x.gather(1, k), f(2, 3), i(3, 2, 4))
    case("gather_grad@plain",
         lambda g, k: torch.zeros(2, 3, dtype=g.dtype).scatter_add(1, k, g),
         f(2, 4), i(3, 2, 4))
    case("one_hot@plain", lambda k: F.one_hot(k, 4).double(), i(4, 3))
    case("index_select@plain", lambda x, k: x.index_select(1, k), f(2, 4),
         i(4, 5))
    case("scatter_add@plain", lambda x, s, k: x.scatter_add(0, k, s), f(3, 2),
         f(4, 2), i(3, 4, 2))


def rows_and_losses():
    case("log_softmax@axis", lambda x: x.log_softmax(0), f(3, 2))
    case("softmax@axis", lambda x: x.softmax(-1), f(2, 4))
    case("layer_norm@plain", lambda x: F.layer_norm(x, (4,)), f(2, 4))
    case("layer_norm@affine",
         lambda x, w, b: F.layer_norm(x, (4,), w, b, 0.1), f(2, 4), f(4), f(4))
    case("layer_norm_rstd@plain", lambda x: rstd(x, 0.1), f(2, 4))
    case("layer_norm_grad@plain", norm_grad, f(2, 4), f(2, 4), f(2, 1))
    case("dropout@plain", lambda x: dropout(x, 0.3, 2385, 7), f(3, 4))
    case("cross_entropy@plain",
         lambda o, y: F.cross_entropy(o, y, reduction="none"), f(3, 4),
         i(4, 3))
    case("cross_entropy_grad@plain", cross_entropy_grad, f(3), f(3, 4),
         i(4, 3))
    targets = torch.tensor([2, -100, 0, 3])
    for reduction in ("none", "sum", "mean"):
        case(f"cross_entropy_ignore@{reduction}",
             lambda o, y: F.cross_entropy(o, y, reduction=reduction), f(4, 4),
             targets)
        case(f"nll@{reduction}",
             lambda o, y: F.nll_loss(o, y, reduction=reduction), f(4, 4),
             targets)
        case(f"huber@{reduction}",
             lambda a, b: F.huber_loss(a, b, reduction=reduction, delta=0.7),
             f(2, 3), f(2, 3))
        case(f"bce_with_logits@{reduction}",
             lambda o, y: F.binary_cross_entropy_with_logits(
                 o, y, reduction=reduction), f(2, 3, lo=-9, hi=9),
             f(2, 3, lo=0, hi=1))
        case(f"l1@{reduction}",
             lambda a, b: F.l1_loss(a, b, reduction=reduction), f(2, 3),
             f(2, 3))
    case("huber@edge", lambda a, b: F.huber_loss(a, b, reduction="none"),
         given([1.0, -1.0, 0.0, 3.25]), given([0.0, 0.0, 0.0, 0.5]))
    case("mse@plain", F.mse_loss, f(2, 3), f(2, 3))


def lstm_gates(z, c):
    i, f, g, o = z.chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    return torch.cat((o * c.tanh(), c, i, f, g, o), 1)


def lstm_gates_grad(a, y, c0):
    _, c, i, f, g, o = y.chunk(6, 1)
    ah, ac, ai, af, ag, ao = a.chunk(6, 1)
    q = c.tanh()
    dc = ac + ah * o * (1 - q * q)
    return torch.cat(((ai + dc * g) * i * (1 - i), (af + dc * c0) * f * (1 - f),
                      (ag + dc * i) * (1 - g * g), (ao + ah * q) * o * (1 - o),
                      dc * f), 1)


def gru_gates(x, p, h):
    (xr, xu, xn), (pr, pu, pn) = x.chunk(3, 1), p.chunk(3, 1)
    r, u = (xr + pr).sigmoid(), (xu + pu).sigmoid()
    n = (xn + r * pn).tanh()
    return torch.cat(((1 - u) * n + u * h, n, r, u, pn), 1)


def gru_gates_grad(a, y, h):
    _, n, r, u, p = y.chunk(5, 1)
    ah, an, ar, au, ap = a.chunk(5, 1)
    zn = (an + ah * (1 - u)) * (1 - n * n)
    zr = (ar + zn * p) * r * (1 - r)
    zu = (au + ah * (h - n)) * u * (1 - u)
    return torch.cat((zr, zu, zn, zr, zu, zn * r + ap, ah * u), 1)


def gates():
    case("lstm_gates@plain", lstm_gates, f(2, 12), f(2, 3))
    case("lstm_gates_grad@plain", lstm_gates_grad, f(2, 18), f(2, 18), f(2, 3))
    case("gru_gates@plain", gru_gates, f(2, 9), f(2, 9), f(2, 3))
    case("gru_gates_grad@plain", gru_gates_grad, f(2, 15), f(2, 15), f(2, 3))


def affine_maps():
    def affine(phi):
        return lambda c, a, b: phi(c + a @ b.T)

    for phi in (torch.tanh, torch.relu, torch.sigmoid):
        case(f"affine@{phi.__name__}", affine(phi), f(4), f(2, 3), f(4, 3))
    case("affine@identity", affine(lambda z: z), f(4), f(2, 3), f(4, 3))
    case("affine@two", lambda c, a, b, d, e: torch.tanh(c + a @ b.T + d @ e.T),
         f(4), f(2, 3), f(4, 3), f(2, 5), f(4, 5))
    case("lstm_affine@state",
         lambda z, h, W, c: lstm_gates(z + h @ W.T, c),
         f(2, 12), f(2, 3), f(12, 3), f(2, 3))
    case("lstm_affine@input",
         lambda z, h, W, c, x, V: lstm_gates(z + x @ V.T + h @ W.T, c),
         f(12), f(2, 3), f(12, 3), f(2, 3), f(2, 5), f(12, 5))
    case("gru_affine@plain",
         lambda z, x, V, d, h, W, h0: gru_gates(z + x @ V.T, d + h @ W.T, h0),
         f(9), f(2, 5), f(9, 5), f(9), f(2, 3), f(9, 3), f(2, 3))


def diagonals():
    case("diagonal@plain", lambda x: x.diagonal(dim1=-2, dim2=-1), f(2, 3, 3))
    case("diagonal@wide", lambda x: x.diagonal(dim1=-2, dim2=-1), f(3, 5))
    case("diag_embed@plain", lambda x: torch.diag_embed(x), f(2, 3))


def sums():
    case("affine@sums",
         lambda c, a, b, d, e, s: torch.tanh(c + s + a @ b.T + d @ e.T),
         f(4), f(2, 3), f(4, 3), f(2, 5), f(4, 5), f(4))


for group in (reductions, products, shapes, indices, rows_and_losses, gates,
              affine_maps, diagonals, sums):
    group()
save_file(out, "ops_other.safetensors")
names = {n.rsplit(".", 1)[0] for n in out}
print(len(names), "cases of", len({n.split("@")[0] for n in names}), "ops")
