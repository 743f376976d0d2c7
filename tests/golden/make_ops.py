"""Makes ops_elementwise.safetensors of this directory with PyTorch, in float64.

    python3 make_ops.py

For each case, called after an op ("tanh") or after an op and a variant
("tanh@far"): the operands CASE.x0, CASE.x1, ..., the result CASE.y and, where
it has a derivative, the given output gradient CASE.gy and the gradients
CASE.gx0, ... of the operands that are differentiated. Gradients of zeros that
PyTorch leaves away are written out. test_ops_torch.c knows how each case is
called, numbers such as a slope included.
"""

import torch
from safetensors.torch import save_file

F = torch.nn.functional
generator = torch.Generator().manual_seed(2385)


def normal(*shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def uniform(lo, hi, *shape):
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return lo + (hi - lo) * x


def signed(*shape):
    """Normal values with zeros of both signs among them."""
    x = normal(*shape) * 1.7
    x.view(-1)[1], x.view(-1)[-2] = 0.0, -0.0
    return x


def tied(*shapes):
    """Operands of few values, so that some are equal."""
    return [(normal(*shape) * 1.4).round() / 4 for shape in shapes]


def mask(*shape):
    return torch.randint(2, shape, generator=generator, dtype=torch.uint8)


class Cases:
    """The cases of one file."""

    def __init__(self):
        self.arrays = {}

    def add(self, name, function, *operands, n_diff=None):
        """The first `n_diff` operands are differentiated, or all floats."""
        x = [a.detach().clone() for a in operands]
        n_diff = len(x) if n_diff is None else n_diff
        leaves = [k for k in range(n_diff) if x[k].is_floating_point()]
        for k in leaves:
            x[k].requires_grad_()
        y = function(*x)
        out = {f"x{k}": a for k, a in enumerate(x)}
        if y.dtype == torch.bool:
            y, leaves = y.to(torch.uint8), []
        out["y"] = y
        if leaves:
            out["gy"] = normal(*y.shape)
            grads = torch.autograd.grad(y, [x[k] for k in leaves], out["gy"],
                                        allow_unused=True)
            for k, g in zip(leaves, grads):
                out[f"gx{k}"] = torch.zeros_like(x[k]) if g is None else g
        for key, a in out.items():
            self.arrays[f"{name}.{key}"] = a.detach().clone().contiguous()

    def save(self, file):
        save_file(self.arrays, file)


def gradient_of(function):
    """The derivative factor gy * function'(x), as a function of gy and x."""
    def factor(gy, x):
        x = x if x.requires_grad else x.detach().requires_grad_()
        slope, = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        return gy * slope
    return factor


def phi_gelu(x):
    """gelu from parts that can be differentiated any number of times."""
    return x * 0.5 * (1 + torch.erf(x * 0.5 ** 0.5))


def phi_elu(x):
    return torch.where(x > 0, x, 0.7 * torch.expm1(x.clamp(max=0)))


def one_operand(cases):
    plain = {
        "neg": torch.neg, "exp": torch.exp, "square": torch.square,
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "sin": torch.sin,
        "cos": torch.cos, "expm1": torch.expm1, "softplus": F.softplus,
        "silu": F.silu, "gelu": F.gelu, "abs": torch.abs, "sign": torch.sign,
        "relu": torch.relu,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.13),
        "elu": lambda x: F.elu(x, 0.7),
        "add_scalar": lambda x: x + 1.37,
        "mul_scalar": lambda x: x * -1.73,
        "pow_scalar@cube": lambda x: x ** 3,
        "pow_scalar@square": lambda x: x ** 2,
        "pow_scalar@one": lambda x: x ** 1,
        "pow_scalar@zero": lambda x: x ** 0,
        "rsub_scalar": lambda x: 2.61 - x,
    }
    for name, function in plain.items():
        cases.add(name, function, signed(2, 5))
    positive = {
        "log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
        "reciprocal": torch.reciprocal, "rdiv_scalar": lambda x: 2.61 / x,
        "pow_scalar": lambda x: x ** -1.7,
    }
    for name, function in positive.items():
        cases.add(name, function, uniform(0.05, 7, 2, 5))
    cases.add("log1p", torch.log1p, uniform(-0.9, 7, 2, 5))
    cases.add("reciprocal@negative", torch.reciprocal, -uniform(0.05, 7, 4))
    edges = torch.tensor([-1.25, 0.9375, -3.5, 2.75, 0.3])
    clamp = {"clamp": (-1.25, 0.9375), "clamp@below": (-1.25, None),
             "clamp@above": (None, 0.9375), "clamp@crossed": (0.9375, -1.25)}
    for name, (lo, hi) in clamp.items():
        x = torch.cat([edges.double(), normal(6)])
        cases.add(name, lambda x, lo=lo, hi=hi: x.clamp(lo, hi), x)
    cases.add("cast", lambda x: x.float().double() * 1.5, normal(3, 3))


def two_operands(cases):
    pairs = {"": [(3, 3), (3, 3)], "@broadcast": [(2, 1, 4), (3, 1)]}
    for variant, (a, b) in pairs.items():
        for name in "add", "sub", "mul":
            cases.add(name + variant, getattr(torch, name), normal(*a),
                      normal(*b))
        cases.add("div" + variant, torch.div, normal(*a),
                  uniform(-3, -0.2, *b))
        cases.add("pow" + variant, torch.pow, uniform(0.1, 3, *a), normal(*b))
        for name in "maximum", "minimum":
            cases.add(name + variant, getattr(torch, name), *tied(a, b))
        cases.add("where" + variant,
                  lambda m, a, b: torch.where(m.bool(), a, b),
                  mask(*b), normal(*a), normal(*b))
        cases.add("masked_fill" + variant,
                  lambda x, m: x.masked_fill(m.bool(), -1.83),
                  normal(*a), mask(*b))
    for name in "eq", "ne", "lt", "le", "gt", "ge":
        cases.add(name, getattr(torch, name), *tied(*pairs["@broadcast"]))
    cases.add("maximum@scalar", torch.maximum, *tied((9,), ()))


def factors(cases):
    """The derivative factors that are ops, from their formulas."""
    pairs = {"": [(3, 3), (3, 3)], "@broadcast": [(2, 1, 4), (3, 1)]}
    both = {
        "tanh_grad": lambda a, b: a * (1 - b * b),
        "sigmoid_grad": lambda a, b: a * b * (1 - b),
        "gelu_grad": gradient_of(phi_gelu),
        "elu_grad": gradient_of(phi_elu),
        "pow_da": lambda a, b: b * a ** (b - 1),
        "pow_db": lambda a, b: a ** b * torch.log(a),
    }
    linear = {
        "relu_grad": gradient_of(torch.relu),
        "leaky_relu_grad": gradient_of(lambda x: F.leaky_relu(x, 0.13)),
        "clamp_grad": gradient_of(lambda x: x.clamp(-1.25, 0.9375)),
    }
    for variant, (a, b) in pairs.items():
        for name, function in both.items():
            first = uniform(0.1, 3, *a) if "pow" in name else normal(*a)
            cases.add(name + variant, function, first, normal(*b) * 1.3)
    for name, function in linear.items():
        cases.add(name, function, normal(3, 3), signed(3, 3), n_diff=1)
    a, b = tied((3, 3), (3, 3))
    cases.add("maximum_grad", lambda g, a, b: torch.where(
        a == b, g / 2, torch.where(a > b, g, 0 * g)), normal(3, 3), a, b,
        n_diff=1)


if __name__ == "__main__":
    elementwise = Cases()
    one_operand(elementwise)
    two_operands(elementwise)
    factors(elementwise)
    elementwise.save("ops_elementwise.safetensors")
