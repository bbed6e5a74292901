#!/usr/bin/env python3
"""`japanese_10b` for a hundred steps from its compressed start, on a GPU: the memory that it takes there, its speed, and what it learns.

    python3 tests/by_hand/japanese_10b.py MUSE --text japanese.txt [--model configs/models/japanese_10b.yaml] [--sequences 1] [--recompute none]

A text is cut at empty lines, and the last tenth is held back. Prints a table in Markdown. Ends with 1 where a reach is missed: 7.5 GiB of the
GPU with everything on it, and 0.5 nat less on what is held back. Needs Python's standard library and `nvidia-smi`.
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

PAGE = """muse: 1
name: hundred
stages:
  text: { uses: download, with: { source: file, paths: [text.txt], documents: paragraph } }
  words: { uses: tokenizer, inputs: { corpus: text }, with: { vocab_size: 32000 } }
  packed:
    uses: pack
    inputs: { corpus: text, tokenizer: words }
    with: { context: 512, strategy: concat, validation: { tail: 0.1 } }
  start: { uses: compress, with: { model: model.yaml, seed: 1 } }
  base:
    uses: pretrain
    inputs: { data: packed, init: start }
    with:
      model: model.yaml
      steps: STEPS
      batch_tokens: BATCH
      micro_batch: SEQUENCES
      lr: RATE
      schedule: { warmup: 10 }
      precision: bf16
      recompute: RECOMPUTE
  eval:
    uses: eval
    inputs: { model: [start, base], tokenizer: words, data: packed }
    with: { tasks: [held_out.yaml] }
"""


def used():
    said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
    return max(int(line) for line in said.stdout.split())


class Peak(threading.Thread):
    """The most memory of the GPU that anybody holds, in MiB, looked at all the time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.over = used(), threading.Event()

    def run(self):
        while not self.over.is_set():
            self.most = max(self.most, used())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("muse")
    parser.add_argument("--text", required=True)
    parser.add_argument("--model", default="configs/models/japanese_10b.yaml")
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", default="1e-3")
    parser.add_argument("--recompute", default="block")
    given = parser.parse_args()
    muse = os.path.abspath(given.muse)
    with tempfile.TemporaryDirectory() as work:
        def file(name, text):
            with open(os.path.join(work, name), "w") as to:
                to.write(text)

        with open(given.model) as model:
            # Who uses first weights must be told how long texts may be.
            file("model.yaml", model.read() + "context: 512\n")
        shutil.copy(given.text, os.path.join(work, "text.txt"))
        shutil.copy("configs/tasks/held_out.yaml", work)
        changes = {"STEPS": given.steps, "BATCH": 512 * given.sequences, "SEQUENCES": given.sequences, "RATE": given.lr,
                   "RECOMPUTE": given.recompute}
        page = PAGE
        for name, value in changes.items():
            page = page.replace(name, str(value))
        file("page.yaml", page)

        def run(*words):
            command = [muse, "--cache-dir", os.path.join(work, "cache"), *words]
            said = subprocess.run(command, capture_output=True, text=True, cwd=work)
            if said.returncode != 0:
                sys.exit(said.stderr or said.stdout)
            return said.stdout

        for stage in ("packed", "start"):
            run("run", "page.yaml", stage, "-q")
        idle, peak = used(), Peak()
        peak.start()
        events = [json.loads(line) for line in run("run", "page.yaml", "base", "--device", "cuda", "--json").splitlines()]
        peak.over.set()
        peak.join()
        metrics = [event for event in events if event["event"] == "metric"]
        speeds = [event["value"] for event in metrics if event["name"] == "tokens_per_second"]
        losses = [event["value"] for event in metrics if event["name"] == "loss"]
        run("run", "page.yaml", "eval", "--device", "cuda", "-q")
        run("get", "page.yaml", "eval", "--to", "eval")
        run("get", "page.yaml", "start", "--to", "start")
        with open(os.path.join(work, "eval", "report.json")) as report:
            results = json.load(report)["tasks"][0]["results"]
        start, base = (math.log(one["metrics"]["token_perplexity"]["value"]) for one in results)
        with open(os.path.join(work, "start", "compress.json")) as report:
            total = json.load(report)["total"]
        took = (peak.most - idle) / 1024
        print(f"stands for {total['dense']:,} numbers, trains {total['trained']:,}; {given.sequences} x 512 tokens, recompute: {given.recompute}")
        print("| | reach | measured |\n|---|---|---|")
        print(f"| GiB of the GPU at most, with all that is on it | 7.5 | {took:.2f} ({idle} MiB were taken before) |")
        print(f"| tokens/s, the median of steps | | {statistics.median(speeds[len(speeds) // 2 :]):,.0f} |")
        print(f"| loss of what is held back, at the start and after {given.steps} steps | -0.5 | {start:.3f}, {base:.3f} |")
        print(f"| loss of the first and the last step | | {losses[0]:.3f}, {losses[-1]:.3f} |")
        if took > 7.5 or base > start - 0.5:
            sys.exit(1)


if __name__ == "__main__":
    main()
