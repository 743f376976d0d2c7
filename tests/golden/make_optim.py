"""Makes optim.safetensors and schedules.safetensors with PyTorch, in float64.

    python3 make_optim.py

optim.safetensors: 10 steps of every optimizer from the parameters "param.*"
    with the gradients "g<step>.*", which are the same for all, and the
    parameters "<case>.w<step>.*" after each. Steps count from 0. The cases of
    L-BFGS minimise the loss below, whose numbers are a = g0, c = g1 and k = g2;
    "<case>.loss" has its value at the beginning of each step.
schedules.safetensors: the learning rates "<case>" of 40 steps, and what
    reduce-on-plateau was told ("losses").
"""

import warnings

import torch
from safetensors.torch import save_file

STEPS = 10

optim = torch.optim
FIRST_ORDER = {
    "sgd": lambda p: optim.SGD(p, lr=0.037),
    "sgd_momentum": lambda p: optim.SGD(
        p, lr=0.037, momentum=0.9, weight_decay=0.013),
    "sgd_dampening": lambda p: optim.SGD(
        p, lr=0.037, momentum=0.8, dampening=0.3),
    "sgd_nesterov": lambda p: optim.SGD(
        p, lr=0.037, momentum=0.85, nesterov=True, weight_decay=0.013),
    "rmsprop": lambda p: optim.RMSprop(
        p, lr=0.037, alpha=0.93, eps=1e-6, weight_decay=0.013),
    "rmsprop_momentum": lambda p: optim.RMSprop(
        p, lr=0.011, alpha=0.93, eps=1e-6, momentum=0.7),
    "rmsprop_centered": lambda p: optim.RMSprop(
        p, lr=0.011, alpha=0.93, eps=1e-3, centered=True),
    "rmsprop_both": lambda p: optim.RMSprop(
        p, lr=0.011, alpha=0.83, eps=1e-3, centered=True, momentum=0.6,
        weight_decay=0.013),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.37),
    "adagrad_decay": lambda p: optim.Adagrad(
        p, lr=0.37, lr_decay=0.07, eps=1e-6, initial_accumulator_value=0.21,
        weight_decay=0.013),
    "adam": lambda p: optim.Adam(
        p, lr=0.037, betas=(0.87, 0.993), eps=1e-7, weight_decay=0.013),
    "adamw": lambda p: optim.AdamW(
        p, lr=0.037, betas=(0.87, 0.993), eps=1e-7, weight_decay=0.13),
}
LBFGS = {
    "lbfgs": lambda p: optim.LBFGS(
        p, lr=0.6, max_iter=2, history_size=4),
    "lbfgs_wolfe": lambda p: optim.LBFGS(
        p, max_iter=2, history_size=5, line_search_fn="strong_wolfe"),
    "lbfgs_far": lambda p: optim.LBFGS(
        p, lr=7.0, max_iter=2, max_eval=9, history_size=3,
        line_search_fn="strong_wolfe"),
    "lbfgs_near": lambda p: optim.LBFGS(
        p, lr=0.004, max_iter=1, max_eval=6, history_size=3,
        line_search_fn="strong_wolfe"),
}

torch.manual_seed(7321)
START = {"W": torch.randn(3, 4).double(), "b": torch.randn(5).double()}
GRADS = [{name: torch.randn_like(p) * 1.7 for name, p in START.items()}
         for _ in range(STEPS)]


def parameters():
    return {name: torch.nn.Parameter(p.clone()) for name, p in START.items()}


def keep(out, case, step, params):
    for name, p in params.items():
        out[f"{case}.w{step}.{name}"] = p.detach().clone()


def first_order(out, case, make):
    params = parameters()
    optimizer = make(params.values())
    for step in range(STEPS):
        for name, p in params.items():
            p.grad = GRADS[step][name].clone()
        optimizer.step()
        keep(out, case, step, params)


def loss_of(params):
    """sum (a^2 + 0.3) (w - c)^2 / 2 + (w - c)^4 / 4, + (sum k w)^2 / 2"""
    total, along = 0, 0
    for name, w in params.items():
        a, c, k = (GRADS[i][name] for i in range(3))
        d = w - c
        total = total + ((a * a + 0.3) * d * d / 2 + d ** 4 / 4).sum()
        along = along + (k * w).sum()
    return total + along * along / 2


def quasi_newton(out, case, make):
    params = parameters()
    optimizer = make(params.values())
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        return loss

    for step in range(STEPS):
        losses.append(float(optimizer.step(closure).detach()))
        keep(out, case, step, params)
    out[case + ".loss"] = torch.tensor(losses, dtype=torch.float64)
    evaluations = optimizer.state_dict()["state"][0]["func_evals"]
    print(f"{case}: loss {losses[0]:.4f} .. {losses[-1]:.12f}, "
          f"{evaluations} evaluations")


def make_optim():
    out = {"param." + name: p.clone() for name, p in START.items()}
    for step, grads in enumerate(GRADS):
        for name, g in grads.items():
            out[f"g{step}.{name}"] = g
    for case, make in FIRST_ORDER.items():
        first_order(out, case, make)
    for case, make in LBFGS.items():
        quasi_newton(out, case, make)
    save_file(out, "optim.safetensors")


N = 40
lr = torch.optim.lr_scheduler
SCHEDULES = {
    "step": lambda o: lr.StepLR(o, step_size=7, gamma=0.43),
    "exponential": lambda o: lr.ExponentialLR(o, gamma=0.91),
    "cosine": lambda o: lr.CosineAnnealingLR(o, T_max=N - 1, eta_min=0.0013),
    "warmup": lambda o: lr.LinearLR(o, start_factor=0.13, total_iters=11),
    "warmup_exponential": lambda o: lr.ChainedScheduler([
        lr.LinearLR(o, start_factor=0.13, total_iters=11),
        lr.ExponentialLR(o, gamma=0.91)]),
    "one_cycle": lambda o: lr.OneCycleLR(o, max_lr=0.37, total_steps=N),
    "one_cycle_linear": lambda o: lr.OneCycleLR(
        o, max_lr=0.37, total_steps=N, pct_start=0.41, div_factor=13.0,
        final_div_factor=700.0, anneal_strategy="linear"),
}
PLATEAU = {
    "plateau": dict(factor=0.31, patience=2, threshold=0.01, cooldown=3,
                    min_lr=0.02),
    "plateau_abs": dict(factor=0.5, patience=1, threshold=0.05,
                        threshold_mode="abs"),
}


def optimizer():
    return optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.37)


def make_schedules():
    warnings.simplefilter("ignore")
    torch.manual_seed(911)
    falling = 2.3 * 0.9 ** torch.arange(N, dtype=torch.float64)
    losses = falling.clamp(min=0.7) + 0.05 * torch.rand(N).double()
    out = {"losses": losses}
    for case, make in SCHEDULES.items():
        o = optimizer()
        scheduler = make(o)
        rates = []
        for _ in range(N):
            rates.append(o.param_groups[0]["lr"])
            o.step()
            if len(rates) < N:
                scheduler.step()
        out[case] = torch.tensor(rates, dtype=torch.float64)
    for case, options in PLATEAU.items():
        o = optimizer()
        scheduler = lr.ReduceLROnPlateau(o, **options)
        rates = []
        for loss in losses:
            scheduler.step(float(loss))
            rates.append(o.param_groups[0]["lr"])
        out[case] = torch.tensor(rates, dtype=torch.float64)
    save_file(out, "schedules.safetensors")


make_optim()
make_schedules()
