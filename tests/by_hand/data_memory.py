#!/usr/bin/env python3
"""Peak memory of every data stage, on inputs of two sizes: it must not grow with the input.

    cargo build --release
    python3 tests/by_hand/data_memory.py                      # 1 GB and 5 GB: half an hour and 40 GB of disk
    python3 tests/by_hand/data_memory.py --sizes 100MB,500MB

Python's standard library is enough. Each stage runs by itself, and the figure is the largest resident set of all
processes that the run started, as the kernel counts it.
"""
import argparse
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REACH = 1 << 30

PIPELINE = """muse: 1
name: memory
params: {{ size: {size} }}
stages:
  synthetic: {{ uses: download, with: {{ source: synthetic, size: "${{params.size}}" }} }}
  file: {{ uses: download, with: {{ source: file, paths: [../data/big.jsonl] }} }}
  clean: {{ uses: clean, inputs: {{ corpus: file }}, with: {{ dedup: minhash, shuffle: true }} }}
  exact: {{ uses: clean, inputs: {{ corpus: [file, synthetic] }}, with: {{ dedup: exact, weights: {{ file: 1, synthetic: 1 }} }} }}
  bpe: {{ uses: tokenizer, inputs: {{ corpus: file }}, with: {{ vocab_size: 32k }} }}
  unigram: {{ uses: tokenizer, inputs: {{ corpus: file }}, with: {{ vocab_size: 8k, algorithm: unigram, mode: turbo }} }}
  concat: {{ uses: pack, inputs: {{ corpus: file, tokenizer: bpe }}, with: {{ context: 2048, strategy: concat }} }}
  best-fit: {{ uses: pack, inputs: {{ corpus: file, tokenizer: bpe }}, with: {{ context: 2048, strategy: best-fit }} }}
  balanced: {{ uses: pack, inputs: {{ corpus: file, tokenizer: bpe }}, with: {{ context: 2048, strategy: balanced }} }}
"""
STAGES = ["synthetic", "file", "clean", "exact", "bpe", "unigram", "concat", "best-fit", "balanced"]


def write_lines(path, size, seed=7):
    """Documents of 200 to 4,000 words of a made-up language, no two alike, as JSON lines."""
    rng = random.Random(seed)
    parts = "ka ki ku ta te to na ni no ra re ro か き く た て と な に の ら れ ろ 山 川 森 空 海".split()
    words = ["".join(rng.choices(parts, k=rng.randint(1, 5))) for _ in range(200_000)]
    pages = [" ".join(rng.choices(words, k=200)) for _ in range(2_000)]
    written = 0
    with open(path, "w", encoding="utf-8") as file:
        while written < size:
            pieces = rng.choices(pages, k=rng.randint(1, 20))
            cut = rng.randint(1, 150)
            line = json.dumps({"text": f"{written} " + "\n".join(p[cut:] for p in pieces)}, ensure_ascii=False) + "\n"
            file.write(line)
            written += len(line.encode())


def bytes_of(text):
    units = {"MB": 10**6, "GB": 10**9, "MiB": 1 << 20, "GiB": 1 << 30}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    raise SystemExit(f"{text}: a size is such as 5GB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1GB,5GB")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--work", default=str(ROOT / "target" / "data_memory"))
    parser.add_argument("--muse", default=str(ROOT / "target" / "release" / "muse"))
    args = parser.parse_args()
    failed = False
    for size in args.sizes.split(","):
        folder = Path(args.work)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "pipelines").mkdir(parents=True)
        (folder / "data").mkdir()
        (folder / "pipelines" / "p.yaml").write_text(PIPELINE.format(size=size))
        # In a process of its own: what this script ever held would count for each child that it starts.
        write = multiprocessing.Process(target=write_lines, args=(folder / "data" / "big.jsonl", bytes_of(size)))
        write.start()
        write.join()
        for stage in args.stages.split(","):
            began = time.perf_counter()
            child = subprocess.Popen([args.muse, "run", "pipelines/p.yaml", stage], cwd=folder,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            said = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
            if os.waitstatus_to_exitcode(status) != 0:
                sys.exit(f"{stage} of {size} failed:\n{said}")
            seconds = time.perf_counter() - began
            peak = usage.ru_maxrss * 1024
            holds = peak <= REACH
            failed |= not holds
            print(f"{'  ok' if holds else 'MISS'}  {stage:<10} {size:>6}  {peak >> 20:5} MiB  {seconds:6.1f} s",
                  flush=True)
    shutil.rmtree(args.work, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
