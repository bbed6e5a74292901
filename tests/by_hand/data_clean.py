#!/usr/bin/env python3
"""Near-copies out of a corpus: `clean` beside datasketch, on the same documents; and the peak memory of `clean`.

    cargo build --release
    python3 tests/by_hand/data_clean.py --texts DIR              # 1 GB: two minutes, 3 GB of disk
    python3 tests/by_hand/data_clean.py --texts DIR --peer all   # datasketch too on all of it, in 10 GB of memory
    python3 tests/by_hand/data_clean.py --texts DIR --memory     # 1 GB and 5 GB: ten minutes, 12 GB of disk

DIR has `ja/wiki_paragraphs.jsonl`, a JSON object with `text` a line. The corpus is recombined from its sentences by
a seed, and every tenth document is a near-copy of an earlier one. Both sides look for a similarity of 0.8 by 128
values and n-grams of five characters, on two cores. datasketch is timed on the first `--peer` bytes, and what it would
take for all is reckoned from that, in proportion. The stage runs as `muse run` starts it, without the store around it.
"""
import argparse
import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THRESHOLD, PERMUTATIONS, NGRAM = 0.8, 128, 5
REACH = 10
# As the stage has it: a word, or in scripts without spaces a character, or a sign.
SPACELESS = "\u3001-\u30ff\u3400-\u9fff\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u31f0-\u31ff\uf900-\ufaff\uff66-\uff9f"
UNITS = re.compile(rf"[^\W_{SPACELESS}]+|\S")


def runs(text):
    """The n-grams of a text."""
    units = UNITS.findall(text)
    joined = "".join(units)
    if len(joined) == len(units):
        return {joined[at:at + NGRAM] for at in range(max(1, len(units) - NGRAM + 1))}
    return {"".join(units[at:at + NGRAM]) for at in range(max(1, len(units) - NGRAM + 1))}


def signatures(texts):
    """What datasketch makes of some texts, in a process of the pool; and the seconds for the n-grams alone."""
    from datasketch import MinHash
    values, grams, blank = [], 0.0, MinHash(num_perm=PERMUTATIONS)
    for text in texts:
        began = time.perf_counter()
        encoded = [run.encode() for run in runs(text)]
        grams += time.perf_counter() - began
        minhash = blank.copy()  # drawing the permutations anew for each would cost much
        minhash.update_batch(encoded)
        values.append(minhash.hashvalues)
    return values, grams


def peer(path):
    """datasketch on the texts of a file, of each cluster the first kept. Prints a JSON object."""
    from datasketch import MinHash, MinHashLSH
    from multiprocessing import Pool
    began = time.perf_counter()
    texts = [json.loads(line) for line in open(path, encoding="utf-8")]
    read = time.perf_counter()
    grams, dropped, blank = 0.0, [], MinHash(num_perm=PERMUTATIONS)
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    with Pool(2) as pool:
        parts = (texts[at:at + 500] for at in range(0, len(texts), 500))
        number = 0
        for values, seconds in pool.imap(signatures, parts):
            grams += seconds
            for value in values:
                minhash = MinHash(hashvalues=value, permutations=blank.permutations, scheme=blank.scheme)
                if index.query(minhash):
                    dropped.append(number)
                else:
                    index.insert(number, minhash, check_duplication=False)
                number += 1
    done = time.perf_counter()
    size = sum(len(text.encode()) for text in texts)
    print(json.dumps({"documents": len(texts), "bytes": size, "read": read - began, "seconds": done - read,
                      "grams": grams / 2, "dropped": dropped}))


def name(text):
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def kept(folder):
    """A hash of each text that `clean` kept, one a line."""
    import pyarrow.parquet as parquet
    for path in sorted(Path(folder).glob("*.parquet")):
        for batch in parquet.ParquetFile(path).iter_batches(columns=["text"]):
            for text in batch.column(0).to_pylist():
                print(name(text))


def size_of(text):
    units = {"MB": 10**6, "GB": 10**9, "MiB": 1 << 20, "GiB": 1 << 30}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text[:-len(unit)]) * factor)
    return int(text)


class Bench:
    def __init__(self, args):
        self.args = args
        self.muse = Path(args.muse).resolve()
        self.work = Path(args.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def corpus(self, size, peer_bytes=0):
        folder = self.work / f"{size}"
        if not (folder / "planted.json").exists():
            build = ["cargo", "build", "-q", "--release", "-p", "muse-stage-clean", "--example", "make_corpus"]
            subprocess.run(build, cwd=ROOT, check=True)
            maker = ROOT / "target/release/examples/make_corpus"
            words = [maker, Path(self.args.texts).resolve(), folder, str(size), str(peer_bytes)]
            subprocess.run(words, check=True)
        return folder

    def clean(self, folder, params):
        """Runs the stage; seconds, processor seconds, and the largest resident set that any child had so far."""
        work = self.work / "job"
        shutil.rmtree(work, ignore_errors=True)
        (work / "in").mkdir(parents=True)
        (work / "out").mkdir()
        (work / "in/corpus").symlink_to(folder / "corpus")
        job = {"job": 1, "mode": "run", "kind": "clean", "version": 1, "stage": "clean", "key": "b3:0", "attempt": 1,
               "params": params, "work": str(work), "threads": 2, "outputs": {"corpus": "corpus"},
               "inputs": {"corpus": {"path": "in/corpus", "entries": [["", "in/corpus"]]}}}
        (work / "job.json").write_text(json.dumps(job))
        began = time.perf_counter()
        child = subprocess.Popen([self.muse, "exec-stage", work / "job.json"], stdin=subprocess.DEVNULL,
                                 stdout=open(work / "events", "wb"))
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        if status != 0:
            sys.exit(f"clean failed: {(work / 'events').read_text()[-500:]}")
        return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024

    def python(self, *words):
        """Runs this file in an environment with the peer; what it prints."""
        venv = self.work / "venv"
        if not (venv / "bin/python").exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([venv / "bin/pip", "install", "-q", "datasketch", "pyarrow"], check=True)
        done = subprocess.run([venv / "bin/python", __file__, *map(str, words)], check=True, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def compare(self):
        size = size_of(self.args.size)
        peer_bytes = size if self.args.peer == "all" else min(size, size_of(self.args.peer))
        folder = self.corpus(size, peer_bytes)
        rounds = [self.clean(folder, {"dedup": "minhash"}) for _ in range(3)]
        seconds, processor, peak = sorted(rounds)[1]
        print(f"clean       {seconds:8.1f} s   {processor:.1f} s of processor, {peak / 2**20:.0f} MiB, reading and "
              f"writing parquet included; median of {', '.join(f'{each[0]:.1f}' for each in rounds)}", flush=True)
        left = collections.Counter(self.python("--kept", self.work / "job/out/corpus").split())

        told = json.loads(self.python("--run-peer", folder / "peer.jsonl"))
        factor = size / told["bytes"]
        theirs = told["seconds"] * factor
        measured = f"{told['seconds']:.1f} s for {told['bytes'] / 1e6:.0f} MB"
        part = measured if factor < 1.001 else f"in proportion to {measured}"
        print(f"datasketch  {theirs:8.1f} s   {part}; {told['grams'] * factor:.1f} s of it make n-grams; reading not "
              f"counted")
        holds = "ok" if theirs >= REACH * seconds else "MISS"
        print(f"ratio       {theirs / seconds:8.1f} x   reach: {REACH}   {holds}", flush=True)
        self.recall(folder, left, set(told["dropped"]))

    def recall(self, folder, left, dropped):
        """What became of the planted near-copies, by their exact similarity."""
        texts = [json.loads(line) for line in open(folder / "peer.jsonl", encoding="utf-8")]
        planted = json.loads((folder / "planted.json").read_text())
        goes = set()
        for number, text in enumerate(texts):
            # Of equal texts the first stays.
            if left[name(text)] > 0:
                left[name(text)] -= 1
            else:
                goes.add(number)
        counts = {}
        for copy, of in planted:
            one, other = runs(texts[copy]), runs(texts[of])
            similarity = len(one & other) / len(one | other)
            low = next(low for low in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.0) if similarity >= low)
            count = counts.setdefault(low, [0, 0, 0])
            count[0] += 1
            count[1] += copy in goes
            count[2] += copy in dropped
        print("\nplanted near-copies that go   similarity      pairs      clean  datasketch")
        for low, (pairs, ours, theirs) in sorted(counts.items(), reverse=True):
            print(f"{'':30}from {low:<5.2f} {pairs:14} {ours / pairs:10.1%} {theirs / pairs:10.1%}")
        copies = {copy for copy, _ in planted}
        others = len(texts) - len(copies)
        wrong = [len(gone - copies) / others for gone in (goes, dropped)]
        print(f"{'':30}not planted {others:8} {wrong[0]:10.3%} {wrong[1]:10.3%}")

    def memory(self):
        for size in ("1GB", "5GB"):
            folder = self.corpus(size_of(size))
            for params in ({"dedup": "minhash", "shuffle": True}, {"dedup": "exact"}):
                seconds, _, peak = self.clean(folder, params)
                holds = "ok" if peak <= 1 << 30 else "MISS"
                print(f"{size}  {json.dumps(params):<42} {peak / 2**20:8.0f} MiB  {seconds:8.1f} s   "
                      f"reach: 1024 MiB   {holds}", flush=True)
            shutil.rmtree(self.work / "job")


def main():
    if len(sys.argv) == 3 and sys.argv[1] in ("--run-peer", "--kept"):
        return {"--run-peer": peer, "--kept": kept}[sys.argv[1]](sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True, help="the folder of real texts")
    parser.add_argument("--work", default=ROOT / "target/by_hand/clean", help="where everything goes")
    parser.add_argument("--muse", default=ROOT / "target/release/muse", help="the program to measure")
    parser.add_argument("--size", default="1GB")
    parser.add_argument("--peer", default="100MB", help="how much of it datasketch is timed on, or `all`")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    bench = Bench(parser.parse_args())
    if not bench.muse.exists():
        sys.exit(f"{bench.muse} is not there: `cargo build --release` makes it")
    return bench.memory() if bench.args.memory else bench.compare()


if __name__ == "__main__":
    main()
