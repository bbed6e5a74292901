#!/usr/bin/env python3
"""First weights of 9.75 billion numbers of three values: how large the file is, how much memory that takes, and whether it is right.

    python3 tests/by_hand/compress.py MUSE [--layers 31] [--folder DIR]

Some minutes on two cores, and 5 GB of disk. Numbers of matrices here and there are drawn once more by the formula, in Python, and held against the
file. Ends with 1 where a reach is missed: 2.44e9 bytes within 3% (for 31 layers), less than 4 GB of memory at most, no number wrong. Needs Python's
standard library.
"""
import argparse
import json
import math
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time

WIDTH, FFN, HEADS = 5120, 13652, 40
PAGE = "muse: 1\nname: large\nstages:\n  start: { uses: compress, with: { model: model.yaml, ternary: true, tensor_train: 64, seed: 5 } }\n"
ALL = (1 << 64) - 1


def stirred(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & ALL
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & ALL
    return x ^ (x >> 31)


def drawn(seed, name, place, deviation):
    """The number at a place of a weight, as model/src/net/start.rs draws it."""
    begin = stirred(seed ^ 0x9E3779B97F4A7C15)
    for byte in name.encode():
        begin = stirred(begin ^ byte)

    def uniform(which):
        return ((stirred((begin + (2 * place + which) * 0x9E3779B97F4A7C15) & ALL) >> 11) + 0.5) / (1 << 53)

    return math.sqrt(-2 * math.log(uniform(0))) * math.cos(2 * math.pi * uniform(1)) * deviation


class File:
    """The tensors of a safetensors file."""

    def __init__(self, path):
        self.file = open(path, "rb")
        length = struct.unpack("<Q", self.file.read(8))[0]
        self.head, self.begin = json.loads(self.file.read(length)), 8 + length

    def read(self, name, first, count):
        self.file.seek(self.begin + self.head[name]["data_offsets"][0] + first)
        return self.file.read(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("muse")
    parser.add_argument("--layers", type=int, default=31)
    parser.add_argument("--folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as work:
        def file(name, text):
            with open(os.path.join(work, name), "w") as to:
                to.write(text)

        file("model.yaml", f"layers: {given.layers}\nwidth: {WIDTH}\nffn: {FFN}\nheads: {HEADS}\nvocab_size: 50257\nqk_norm: false\ntied: true\n")
        file("page.yaml", PAGE)
        muse = [os.path.abspath(given.muse), "--cache-dir", os.path.join(work, "cache")]

        def run(*words):
            said = subprocess.run([*muse, *words], capture_output=True, text=True, cwd=work)
            if said.returncode != 0:
                sys.exit(said.stderr or said.stdout)
            return said.stdout

        begin = time.monotonic()
        run("run", "page.yaml", "-q")
        took = time.monotonic() - begin
        # The largest of all processes below this one: the stage's.
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        run("verify")
        run("get", "page.yaml", "start", "--to", "start")
        with open(os.path.join(work, "start", "compress.json")) as report:
            report = json.load(report)
        total, bytes_of_files = report["total"], report["file_bytes"]
        rows = [row for row in report["matrices"] if "layers." in row["name"] and row["error"] is not None]
        wrong = looked = 0
        weights = File(os.path.join(work, "start", "model.safetensors"))
        chance = random.Random(1)
        for row in chance.sample(rows, min(12, len(rows))):
            name, columns = row["name"], weights.head[row["name"]]["shape"][1]
            quarter = weights.head[name]["shape"][0] * columns
            size = struct.unpack("<f", weights.read(name + "_scale", 0, 4))[0]
            residual = ".o_proj." in name or ".down_proj." in name
            deviation = 0.02 / math.sqrt(2 * given.layers) if residual else 0.02
            # The mean size of normal numbers.
            wrong += abs(size / (deviation * math.sqrt(2 / math.pi)) - 1) > 1e-3
            for _ in range(2000):
                at = chance.randrange(quarter)
                byte = weights.read(name, at, 1)[0]
                for part in range(4):
                    x = drawn(5, name, part * quarter + at, deviation)
                    code = (byte >> (2 * part) & 3) - 1
                    looked += 1
                    near = abs(abs(x) / (size / 2) - 1) < 1e-5
                    wrong += not near and code != (0 if abs(x) <= size / 2 else math.copysign(1, x))
        numbers = sum(row["dense"] for row in rows)
        print(f"{numbers:,} numbers of three values, {total['dense']:,} with rows and norms; {took:.0f} s, the hash of all files checked")
        print("| | reach | measured |\n|---|---|---|")
        print(f"| bytes of the file | {numbers / 4 / 1e9:.2f}e9, within 3% | {bytes_of_files / 1e9:.4f}e9 |")
        print(f"| memory at most, bytes | 4e9 | {memory / 1e9:.2f}e9 |")
        print(f"| numbers looked at, and those that are wrong | 0 | {looked:,}, {wrong} |")
        if wrong or memory > 4e9 or abs(bytes_of_files / (numbers / 4) - 1) > 0.03:
            sys.exit(1)


if __name__ == "__main__":
    main()
