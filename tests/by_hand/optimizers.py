#!/usr/bin/env python3
"""Muon against AdamW on nanoGPT's shakespeare_char for the CPU, each at several rates: the loss at the end of each, and how many
steps the best of Muon takes to where the best of AdamW ends.

    cargo build --release
    python3 tests/by_hand/optimizers.py --text input.txt [--steps 1000]      # ten trainings: ten minutes on two cores

`input.txt` is the text of char-rnn's tinyshakespeare. Prints a table in Markdown. Needs Python's standard library.
"""
import argparse
import json
import os
import subprocess
import tempfile

from shakespeare import changed_page, served

RATES = ["1e-3", "2e-3", "4e-3", "8e-3", "1.6e-2"]


def losses(muse, work, url, kind, rate, steps):
    """The loss of what is held back, at every tenth of so many steps."""
    every = max(steps // 10, 1)
    page = changed_page(work, f"{kind}-{rate}.yaml", optimizer=f"{{ kind: {kind}, betas: [0.9, 0.99] }}", lr=rate, eval_every=every)
    said = subprocess.run([muse, "--cache-dir", os.path.join(work, "cache"), "run", page, "--device", "cpu", "--json",
                           "--set", f"url={url}", "--set", f"steps={steps}"], capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(said.stderr)
    events = [json.loads(line) for line in said.stdout.splitlines()]
    return [(0, float("inf"))] + [(e["step"], e["value"]) for e in events if e["event"] == "metric" and e["name"] == "val_loss"]


def reaches(losses, goal):
    """The step at which a loss is reached, on the line between two evaluations."""
    for (before, high), (after, low) in zip(losses, losses[1:]):
        if low <= goal:
            return after if high == float("inf") else before + (after - before) * (high - goal) / (high - low)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--muse", default="target/release/muse")
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    best = {}
    print(f"| {given.steps} steps | {' | '.join(RATES)} |\n|---|{'---|' * len(RATES)}")
    with tempfile.TemporaryDirectory() as work, served(given.text) as url:
        for kind in ["adamw", "muon"]:
            runs = [losses(given.muse, work, url, kind, rate, given.steps) for rate in RATES]
            best[kind] = min(runs, key=lambda run: run[-1][1])
            print(f"| {kind} | {' | '.join(f'{run[-1][1]:.4f}' for run in runs)} |", flush=True)
    goal = best["adamw"][-1][1]
    step = reaches(best["muon"], goal)
    share = f"{step:.0f} steps, {step / given.steps:.2f} of AdamW's" if step else "never"
    print(f"\nmuon comes to AdamW's {goal:.4f} after: {share}")


main()
