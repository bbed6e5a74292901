#!/usr/bin/env python3
"""Training on several GPUs: that it is the training on one, that it goes on with another number, that no failure hangs, how it scales.

    cargo build --release
    python3 tests/by_hand/several_gpus.py                          # checks on two GPUs, and the scaling of two: five minutes
    python3 tests/by_hand/several_gpus.py --gpus 2,4 --no-checks   # scaling alone

Needs two NVIDIA GPUs with CUDA and NCCL. Where there is torch, it fills the second GPU for the last check. Ends with 1 where a row misses
its reach.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from runs import MODELS, bench, column, figures

PAGE = "pipelines/quickstart.yaml"
STEPS = 120
# Of so many times the tokens/s of one GPU.
REACH = {2: 0.90, 4: 0.90, 8: 0.85}
MISSED = []

FILL = """
import sys, torch
held = []
for size in (1 << 30, 1 << 26):
    try:
        while True:
            held.append(torch.empty(size, dtype=torch.uint8, device="cuda:1"))
    except torch.OutOfMemoryError:
        pass
print("full", flush=True)
sys.stdin.read()
"""


def row(name, measured, reach, holds):
    if not holds:
        MISSED.append(name)
    print(f"{'  ok' if holds else 'MISS'}  {name:<62} {measured:>22}   reach: {reach}", flush=True)


class Muse:
    def __init__(self, program, work):
        self.program, self.work = os.path.abspath(program), work
        shutil.copytree("configs", os.path.join(work, "configs"))
        os.mkdir(os.path.join(work, "pages"))

    def page(self, gpus, **fields):
        """The page with so many GPUs for its training. Paths in it start from the page."""
        with open(PAGE) as file:
            text = file.read()
        more = "".join(f"      {name}: {value}\n" for name, value in fields.items())
        at = "    uses: pretrain\n    inputs: { data: packed }\n    with:\n"
        assert at in text
        text = text.replace(at, f"    resources: {{ gpu: {gpus} }}\n{at}{more}")
        path = os.path.join(self.work, "pages", f"gpus-{gpus}-{'-'.join(fields)}.yaml")
        with open(path, "w") as file:
            file.write(text)
        return path

    def command(self, cache, gpus, **fields):
        return [self.program, "--cache-dir", os.path.join(self.work, cache), "run", self.page(gpus, **fields), "base", "--json",
                "--set", f"steps={STEPS}", "--set", "eval_every=40", "--set", "documents=4k"]

    def run(self, cache, gpus, stop_after=None, by=signal.SIGINT, **fields):
        """The loss by step and the evaluations of one run, which is stopped once so many steps were told of."""
        steps = figures(self.command(cache, gpus, **fields), stop_after, by)
        return column(steps, "loss"), column(steps, "val_loss")

    def copy(self, cache, to):
        shutil.copytree(os.path.join(self.work, cache), os.path.join(self.work, to), symlinks=True)


def apart(one, other, steps):
    return max(abs(one[step] - other[step]) / abs(other[step]) for step in steps)


def checks(muse):
    one, one_evaluated = muse.run("one", 1)
    two, two_evaluated = muse.run("two", 2)
    first = apart(two, one, range(1, 11))
    row("f32, the first ten losses, two GPUs against one", f"{first:.1e}", "1e-5", first <= 1e-5)
    last = apart(two_evaluated, one_evaluated, [STEPS])
    row(f"f32, validation loss after {STEPS} steps", f"{last:.1e}", "1e-2", last <= 1e-2)
    again, _ = muse.run("again", 2)
    same = sum(again[step] == two[step] for step in two)
    row("losses with the same bits in a second run on two", f"{same} of {len(two)}", "all", same == len(two))
    for fields in [{"precision": "bf16"}, {"optimizer": "{ kind: muon }"}, {"micro_batch": 1}]:
        name = "".join(fields)
        curves = [muse.run(f"{name}-{gpus}", gpus, **fields)[0] for gpus in (1, 2)]
        bound = 2e-3 if name == "precision" else 1e-5
        far = apart(curves[1], curves[0], range(1, 4))
        row(f"{fields}, the first three losses", f"{far:.1e}", f"{bound:.0e}", far <= bound)

    before, _ = muse.run("stopped", 2, stop_after=60)
    stopped = max(before)
    muse.copy("stopped", "moved")
    on_one, _ = muse.run("moved", 1)
    on_two, _ = muse.run("stopped", 2)
    row("interrupted on two, goes on with one at", f"step {min(on_one)}", f"{stopped + 1}", min(on_one) == stopped + 1)
    moved = apart(on_one, on_two, range(stopped + 1, stopped + 4))
    row("the next three losses with one against those with two", f"{moved:.1e}", "1e-5", moved <= 1e-5)
    same = all(on_two[step] == two[step] for step in on_two)
    row("losses behind the break on two, against those without one", "the same" if same else "others", "the same bits", same)

    muse.run("killed", 1, stop_after=60, by=signal.SIGKILL)
    more, _ = muse.run("killed", 2)
    far = apart(more, one, range(min(more), min(more) + 3))
    row(f"killed with one, goes on with two at step {min(more)}; losses", f"{far:.1e}", "1e-5", min(more) == 41 and far <= 1e-5)


def fails(muse):
    """The second GPU has no memory left: the run ends with an error, and in time."""
    fill = subprocess.Popen([sys.executable, "-c", FILL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if fill.stdout.readline() != "full\n":
        print("skipped: a GPU without memory, which wants torch")
        return
    process = subprocess.Popen(muse.command("full", 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=180)
        ended = f"exit {process.returncode}"
        print(said[-1500:])
    except subprocess.TimeoutExpired:
        process.kill()
        ended = "still there"
    row("the second GPU has no memory left", ended, "an error within 3 minutes", ended not in ("exit 0", "still there"))
    fill.communicate()


def scaling(program, gpus, only, runs):
    def speed(sizes, count):
        return bench(program, sizes, gpus=count)["tokens_per_second"]

    for name in only:
        one = max(speed(MODELS[name], 1) for _ in range(runs))
        for count in gpus:
            several = max(speed(MODELS[name], count) for _ in range(runs))
            share = several / (count * one)
            row(f"{name}: {count} GPUs {several:,.0f} tokens/s, one {one:,.0f}", f"{share:.1%}", f"{REACH[count]:.0%}", share >= REACH[count])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--muse", default="target/release/muse")
    parser.add_argument("--gpus", default="2")
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--no-scaling", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        muse = Muse(given.muse, work)
        if not given.no_checks:
            checks(muse)
            fails(muse)
        if not given.no_scaling:
            scaling(muse.program, [int(count) for count in given.gpus.split(",")], given.only.split(","), given.runs)
    sys.exit(1 if MISSED else 0)


if __name__ == "__main__":
    main()
