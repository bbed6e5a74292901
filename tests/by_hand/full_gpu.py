#!/usr/bin/env python3
"""A GPU whose memory another program has: training on it ends with an error that says how much there is and what to change.

    cargo build --release
    python3 tests/by_hand/full_gpu.py

Needs an NVIDIA GPU with CUDA, and torch, which takes the memory. Ends with 1 where the error is not that.
"""
import argparse
import re
import subprocess
import sys

from runs import MODELS, asked

FILL = """
import sys, torch
keep, held = int(sys.argv[1]) << 20, []
while torch.cuda.mem_get_info()[0] - keep > 1 << 28:
    held.append(torch.empty(1 << 28, dtype=torch.uint8, device="cuda"))
print(torch.cuda.mem_get_info()[0] >> 20, flush=True)
sys.stdin.read()
"""


def fails(program, free):
    """What muse says with so many MiB left, and how it ends."""
    fill = subprocess.Popen([sys.executable, "-c", FILL, str(free)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    left = int(fill.stdout.readline())
    try:
        done = asked(program, MODELS["134m-32"], timeout=100)
        said, ended = done.stderr, f"exit {done.returncode}"
    except subprocess.TimeoutExpired:
        said, ended = "", "still there after 100 s"
    fill.communicate()
    tail = [line for line in said.splitlines() if line.strip()][-4:]
    holds = ended not in ("exit 0", "") and re.search(r"too little memory for \d+ MiB more: of \d+ MiB \d+ are free", said) and "micro_batch" in said
    print(f"{'  ok' if holds else 'MISS'}  {left} MiB are free: {ended}\n        " + "\n        ".join(tail), flush=True)
    return bool(holds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--muse", default="target/release/muse")
    program = parser.parse_args().muse
    # Too little for the weights, for what is kept on the way forward, and for hardly anything.
    sys.exit(0 if all([fails(program, free) for free in (2500, 7000, 1200)]) else 1)


main()
