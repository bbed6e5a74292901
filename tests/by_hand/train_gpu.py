#!/usr/bin/env python3
"""Training on a GPU: that it is the training on the CPU, that it is resumed there and elsewhere, and nanoGPT's job for the GPU.

    cargo build --release
    python3 tests/by_hand/train_gpu.py --text input.txt            # checks alone: two minutes
    python3 tests/by_hand/train_gpu.py --text input.txt --job      # and 5,000 steps of shakespeare_char

`input.txt` is the text of char-rnn's tinyshakespeare. Needs an NVIDIA GPU with CUDA, and Python's standard library.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile

from runs import column, figures
from shakespeare import PAGE, changed_page, served

MISSED = []


def row(name, measured, reach, holds):
    if not holds:
        MISSED.append(name)
    print(f"{'  ok' if holds else 'MISS'}  {name:<58} {measured:>22}   reach: {reach}", flush=True)


class Muse:
    def __init__(self, program, url):
        self.program, self.url = os.path.abspath(program), url

    def command(self, cache, device, page, settings):
        sets = [f"url={self.url}"] + [f"{name}={value}" for name, value in settings.items() if name != "preset"]
        preset = ["--preset", settings["preset"]] if "preset" in settings else []
        return [self.program, "--cache-dir", cache, "run", page, "--device", device, "--json",
                *preset, *(word for value in sets for word in ("--set", value))]

    def run(self, cache, device, stop_after=None, by=signal.SIGINT, page=PAGE, **settings):
        """The loss by step and the evaluations of one run, which is stopped once so many steps were told of."""
        steps = figures(self.command(cache, device, page, settings), stop_after, by)
        return column(steps, "loss"), column(steps, "val_loss")


def apart(one, other, steps):
    return max(abs(one[step] - other[step]) / abs(other[step]) for step in steps)


def checks(muse, work):
    folder = lambda name: os.path.join(work, name)
    settings = {"steps": 60, "eval_every": 20}
    cpu, cpu_evaluations = muse.run(folder("cpu"), "cpu", **settings)
    gpu, gpu_evaluations = muse.run(folder("gpu"), "cuda", **settings)
    first = apart(gpu, cpu, [1, 2, 3])
    row("f32, the first three losses, GPU against CPU", f"{first:.1e}", "1e-5", first <= 1e-5)
    last = apart(gpu_evaluations, cpu_evaluations, [60])
    row("f32, validation loss after 60 steps", f"{last:.1e}", "1e-2", last <= 1e-2)

    before, _ = muse.run(folder("stopped"), "cuda", stop_after=30, **settings)
    stopped = max(before)
    shutil.copytree(folder("stopped"), folder("moved"), symlinks=True)
    on_gpu, _ = muse.run(folder("stopped"), "cuda", **settings)
    on_cpu, _ = muse.run(folder("moved"), "cpu", **settings)
    going_on = min(on_gpu)
    row("interrupted on the GPU, goes on at", f"step {going_on}", f"{stopped + 1}", going_on == stopped + 1)
    moved = apart(on_cpu, on_gpu, [going_on])
    row("the next loss on the CPU against that on the GPU", f"{moved:.1e}", "1e-5", moved <= 1e-5)

    # Two runs on a GPU add up in other orders and drift apart, so a run is compared with itself: killed behind a checkpoint,
    # it makes the steps behind it a second time.
    page = changed_page(work, "checkpoints.yaml", checkpoint_every=20)
    before, _ = muse.run(folder("killed"), "cuda", stop_after=32, by=signal.SIGKILL, page=page, **settings)
    again, _ = muse.run(folder("killed"), "cuda", page=page, **settings)
    first = min(again)
    row("killed on the GPU, goes on behind its checkpoint at", f"step {first}", "21 to 33", first in range(21, 34))
    both = [step for step in before if step in again]
    same = apart(again, before, both[:1]) if both else 1.0
    row("the next loss, against the same step before the kill", f"{same:.1e}", "1e-5", same <= 1e-5)
    all_of_them = apart(again, before, both) if both else 1.0
    row(f"the {len(both)} losses made twice", f"{all_of_them:.1e}", "1e-3", all_of_them <= 1e-3)


def job(muse, work):
    _, evaluations = muse.run(os.path.join(work, "job"), "cuda", preset="gpu")
    step = min(evaluations, key=evaluations.get)
    best = evaluations[step]
    row(f"shakespeare_char, best validation loss, at step {step}", f"{best:.4f}", "1.4697", best <= 1.4697)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--muse", default="target/release/muse")
    parser.add_argument("--job", action="store_true")
    parser.add_argument("--no-checks", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, served(given.text) as url:
        muse = Muse(given.muse, url)
        if not given.no_checks:
            checks(muse, work)
        if given.job:
            job(muse, work)
    sys.exit(1 if MISSED else 0)


main()
