#!/usr/bin/env python3
"""The train step "rnn H128 B32 T64" here and in an installed PyTorch, in turns.

usage: against_torch.py BENCH_PROGRAM [ROUNDS]

One thread each. Prints best and median of all rounds and the ratio. PyTorch is
needed for this comparison only.
"""
import os
import statistics
import subprocess
import sys
import time

ONE = {k: "1" for k in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                        "OMP_NUM_THREADS")}
os.environ.update(ONE)
import torch  # noqa: E402  (the variables above must be set first)

T, B, H, V = 64, 32, 128, 65


def torch_step():
    torch.manual_seed(7)
    rnn, fc = torch.nn.RNN(V, H), torch.nn.Linear(H, V)
    sgd = torch.optim.SGD([*rnn.parameters(), *fc.parameters()], lr=0.01)
    x = torch.nn.functional.one_hot(torch.randint(V, (T, B)), V).float()
    y = torch.randint(V, (T * B,))

    def step():
        sgd.zero_grad()
        h, _ = rnn(x)
        loss = torch.nn.functional.cross_entropy(fc(h).view(-1, V), y)
        loss.backward()
        sgd.step()

    return step


def torch_times(step, repetitions=100):
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), statistics.median(times)


def our_times(bench):
    row = f"rnn H{H} B{B} T{T}"
    out = subprocess.run([bench, "--rows", row], check=True, text=True,
                         capture_output=True).stdout
    line = next(s for s in out.splitlines() if s.startswith(row))
    best, median = line[len(row):].split()[:2]
    return float(best), float(median)


def main():
    bench = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(1)
    step = torch_step()
    torch_times(step, 10)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(our_times(bench))
        theirs.append(torch_times(step))
    for name, t in (("chronograd", ours), (f"torch {torch.__version__}", theirs)):
        print(f"{name:20} best {min(b for b, _ in t):.2f} ms, medians "
              + " ".join(f"{m:.2f}" for _, m in t))
    print(f"ratio of the bests: {min(theirs)[0] / min(ours)[0]:.2f}, of the "
          "medians: {:.2f}".format(statistics.median(m for _, m in theirs)
                                   / statistics.median(m for _, m in ours)))


main()
