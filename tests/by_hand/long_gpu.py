#!/usr/bin/env python3
"""Training on a GPU in bf16, over and over: the same bits, a kill, and ten thousand steps.

    cargo build --release
    python3 tests/by_hand/long_gpu.py --text input.txt             # four minutes on an H200; --steps for fewer than 10,000

`input.txt` is any text of a megabyte, as char-rnn's tinyshakespeare. Needs an NVIDIA GPU with CUDA, and Python's standard library.
"""
import argparse
import math
import os
import signal
import sys
import tempfile

from runs import column, figures
from shakespeare import PAGE, changed_page, served

MISSED = []
# Heads of 64 without dropout, so that every kernel has its part.
LARGE = {"model": "configs/models/30m.yaml", "context": 512, "batch_tokens": 8192, "lr": "3e-4", "precision": "bf16"}


def row(name, measured, reach, holds):
    if not holds:
        MISSED.append(name)
    print(f"{'  ok' if holds else 'MISS'}  {name:<64} {measured:>22}   reach: {reach}", flush=True)


def run(program, url, cache, page, settings, device="cuda", kill_after=None):
    sets = [word for name, value in {"url": url, **settings}.items() for word in ("--set", f"{name}={value}")]
    command = [os.path.abspath(program), "--cache-dir", cache, "run", page, "--device", device, "--json", *sets]
    return figures(command, kill_after, signal.SIGKILL)


def losses(steps):
    return column(steps, "loss")


def validation(steps):
    evaluations = column(steps, "val_loss")
    return evaluations[max(evaluations)]


def checks(go, work):
    page = changed_page(work, "checkpoints.yaml", checkpoint_every=100)
    short = {**LARGE, "steps": 240, "eval_every": 120}
    one, other = (losses(go(name, page, short)) for name in ("one", "other"))
    alike = sum(one[step] == other[step] for step in one)
    row("bf16, two runs of one seed: losses with the same bits", f"{alike} of {len(one)}", "all", alike == len(one) == 240)
    go("killed", page, short, kill_after=150)
    again = losses(go("killed", page, short))
    behind = [step for step in again if step > 100]
    apart = max(abs(again[step] - one[step]) / one[step] for step in behind)
    row("killed in the middle and gone on, against a run that was not", f"{apart:.1e}", "1e-5", apart <= 1e-5 and 240 in behind)

    for precision in ("f32", "bf16"):
        small = {"steps": 2000, "precision": precision}
        on_cpu = validation(go(f"{precision}-cpu", PAGE, small, device="cpu"))
        on_gpu = validation(go(precision, PAGE, small))
        name = f"shakespeare.yaml in {precision}: validation loss, the CPU's {on_cpu:.4f}"
        row(name, f"{on_gpu:.4f}", "0.01", abs(on_gpu - on_cpu) <= 0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--muse", default="target/release/muse")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--steps-alone", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, served(given.text) as url:
        go = lambda name, page, settings, **more: run(given.muse, url, os.path.join(work, name), page, settings, **more)
        if not given.steps_alone:
            checks(go, work)
        many = {**LARGE, "steps": given.steps, "eval_every": given.steps}
        steps = go("many", changed_page(work, "many.yaml", checkpoint_every=given.steps), many)
        tenth = given.steps // 10
        finite = all(math.isfinite(value) for of_step in steps.values() for value in of_step.values())
        skipped = sum("skipped" in of_step for of_step in steps.values())
        row(f"{given.steps} steps: numbers that are none, steps skipped", f"{'none' if finite else 'some'}, {skipped}", "none", finite and not skipped)
        memory = [(step, of_step["memory"]) for step, of_step in sorted(steps.items()) if "memory" in of_step]
        first = next(value for step, value in memory if step >= tenth)
        row("memory at their end, of that after a tenth", f"{memory[-1][1] / first:.4f}", "1.0", memory[-1][1] <= first * 1.001)
        seconds = lambda begin, end: steps[end]["told"] - steps[begin]["told"]
        # The last step waits for the evaluation and the checkpoint.
        speed = seconds(tenth, 2 * tenth) / seconds(9 * tenth - 1, given.steps - 1)
        row("speed in the last tenth, of that in the second", f"{speed:.3f}", "0.98", speed >= 0.98)
    sys.exit(1 if MISSED else 0)


if __name__ == "__main__":
    main()
