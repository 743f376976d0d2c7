#!/usr/bin/env python3
"""The work of the rows of bench in an installed PyTorch: the other end of
`bench --against torch`.

Reads lines "SECONDS WORK" and answers each with "best median p10 p90 count" in
seconds, or "unknown". WORK is one of

    train CELL LAYERS HIDDEN BATCH STEPS SYMBOLS DTYPE
    stream CELL HIDDEN SYMBOLS
    scalar N
    map OP NUMEL           (add, mul, tanh, sigmoid, exp, sum, softmax, ...)
    matmul M N K TA TB     (op(A) [M, K] times op(B) [K, N]; TA, TB: 0 or 1)

The first line written is PyTorch's version, or "no" if there is none, which is
needed for this comparison only.
"""
import os
import sys
import time

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"  # read when the libraries are loaded
try:
    import torch
except ImportError:
    print("no", flush=True)
    sys.exit(0)

F = torch.nn.functional
CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
DTYPES = {"f32": torch.float32, "f64": torch.float64}
SHORTEST = 50e-6
CLOCK = (time.process_time if os.environ.get("BENCH_CPU")
         else time.perf_counter)


def train(cell, layers, hidden, batch, steps, symbols, dtype="f32"):
    L, H, B, T, V = map(int, (layers, hidden, batch, steps, symbols))
    kind = DTYPES[dtype]
    net, fc = CELLS[cell](V, H, L).to(kind), torch.nn.Linear(H, V).to(kind)
    sgd = torch.optim.SGD([*net.parameters(), *fc.parameters()], lr=0.01)
    x = F.one_hot(torch.randint(V, (T, B)), V).to(kind)
    y = torch.randint(V, (T * B,))

    def step():
        sgd.zero_grad()
        h, _ = net(x)
        F.cross_entropy(fc(h).view(-1, V), y).backward()
        sgd.step()

    return step


def stream(cell, hidden, symbols):
    H, V = int(hidden), int(symbols)
    net, fc = CELLS[cell](V, H), torch.nn.Linear(H, V)
    x = F.one_hot(torch.randint(V, (1, 1)), V).float()
    state = [None]

    @torch.no_grad()
    def step():
        h, state[0] = net(x, state[0])
        F.softmax(fc(h), -1)

    return step


def scalar(n):
    a = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)

    def run():
        a.grad = None
        x = torch.tensor(1.0, dtype=torch.float64)
        for _ in range(int(n)):
            x = x * 0.99 + a
        x.backward()

    return run


def elementwise(op, numel):
    a, b = torch.rand(int(numel)), torch.rand(int(numel)) + 0.5
    run = {"sum": lambda: a.sum(), "max": lambda: a.max(),
           "softmax": lambda: F.softmax(a, -1),
           "logsumexp": lambda: torch.logsumexp(a, -1)}.get(op)
    if run:
        return run
    f = getattr(torch, op)
    return (lambda: f(a, b)) if op in ("add", "mul", "div") else lambda: f(a)


def matmul(m, n, k, ta, tb):
    m, n, k, ta, tb = map(int, (m, n, k, ta, tb))
    a = torch.rand(k, m).t() if ta else torch.rand(m, k)
    b = torch.rand(n, k).t() if tb else torch.rand(k, n)
    return lambda: torch.matmul(a, b)


WORKS = {"train": train, "stream": stream, "scalar": scalar,
         "map": elementwise, "matmul": matmul}


def take(step, inner):
    start = CLOCK()
    for _ in range(inner):
        step()
    return (CLOCK() - start) / inner


def measure(step, seconds):
    take(step, 2)  # warm up
    inner = int(SHORTEST / take(step, 1)) + 1
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        times.append(take(step, inner))
    times.sort()
    n = len(times)
    return (*(f"{times[i]:.9g}" for i in (0, n // 2, n // 10, n * 9 // 10)), n)


def main():
    torch.set_num_threads(1)
    print(torch.__version__, flush=True)
    work, step = None, None
    for line in sys.stdin:
        seconds, *words = line.split()
        if not words or words[0] not in WORKS:
            print("unknown", flush=True)
            continue
        if words != work:
            torch.manual_seed(7)
            step = WORKS[words[0]](*words[1:])
            work = words
        print(*measure(step, float(seconds)), flush=True)


main()
