#!/usr/bin/env python3
"""Measures `pack` beside its peers in one run, and prints a table.

    cargo build --release
    python3 tests/by_hand/data_pack.py --texts DIR              # tokens/s, beside tokenizers and tiktoken: 10 minutes
    python3 tests/by_hand/data_pack.py --texts DIR --packing    # how full sequences are: 2 minutes
    python3 tests/by_hand/data_pack.py --texts DIR --memory     # peak of 0.5 GB and 5 GB: 20 minutes, 10 GB of disk

DIR holds real texts: `*.txt`, and `*.jsonl` with `text` or `messages`. Sentences of them are recombined by a seed until
there is as much as is measured. What Python needs (tokenizers, tiktoken, pyarrow) is installed into an environment of its
own below `--work`. Peers and muse take turns, and the median of three counts. Of the peers only encoding is timed, of
muse the whole stage: reading parquet, encoding, writing, laying out.
"""
import argparse
import hashlib
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import venv
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MISSED = []


def row(name, measured, reach=None, holds=None):
    mark = {True: "  ok", False: "MISS", None: "    "}[holds]
    if holds is False:
        MISSED.append(name)
    print(f"{mark}  {name:<46} {measured:>34}   {f'reach: {reach}' if reach else ''}", flush=True)


# --- texts ------------------------------------------------------------------------------------------------------

def sentences(folder):
    """Every sentence of the texts, in the order of the files."""
    found = []
    for path in sorted(Path(folder).rglob("*")):
        texts = []
        if path.suffix == ".txt":
            texts = [path.read_text(encoding="utf-8")]
        elif path.suffix == ".jsonl":
            for line in path.open(encoding="utf-8"):
                value = json.loads(line)
                texts += [value.get("text", "")] + [turn["content"] for turn in value.get("messages", [])]
        for text in texts:
            found += re.findall(r"[^。.!?！？\n]*(?:[。.!?！？]+[ \n]*|\n+|$)", text)
    found = [sentence for sentence in found if sentence.strip()]
    if len(found) < 1000:
        sys.exit(f"{folder}: {len(found)} sentences are too few to make texts of")
    return found


def documents(source, size, seed):
    """Texts of log-normal lengths, made of sentences, some of them with a number that stands nowhere else."""
    rng = random.Random(seed)
    made = 0
    while made < size:
        wanted = min(rng.lognormvariate(6.8, 1.0), 200_000)
        text, bytes_ = [], 0
        while bytes_ < wanted:
            sentence = rng.choice(source)
            if rng.random() < 0.1:
                sentence = f"{rng.getrandbits(32)} {sentence}"
            text.append(sentence)
            bytes_ += len(sentence.encode())
        made += bytes_
        yield "".join(text)


def write_corpus(folder, texts):
    """A corpus as muse writes it: row groups of about 8 MiB."""
    import pyarrow
    import pyarrow.parquet
    folder.mkdir(parents=True)
    schema = pyarrow.schema([("text", pyarrow.string()), ("source", pyarrow.string())])
    count = 0
    with pyarrow.parquet.ParquetWriter(folder / "00000.parquet", schema, compression="zstd") as writer:
        rows, held = [], 0

        def flush():
            columns = [rows, ["made"] * len(rows)]
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=1 << 20)

        for text in texts:
            rows.append(text)
            held += len(text.encode())
            count += 1
            if held >= 8 << 20:
                flush()
                rows, held = [], 0
        if rows:
            flush()
    return count


# --- muse -------------------------------------------------------------------------------------------------------

class Muse:
    def __init__(self, args, work):
        self.program = Path(args.muse).resolve()
        self.work = work
        self.threads = args.threads

    def stage(self, kind, params, inputs, output, type_):
        """Runs one stage in a folder of its own; seconds, peak in bytes, where its result is, and its figures."""
        folder = self.work / "stage"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "out").mkdir(parents=True)
        (folder / "in").mkdir()
        ports = {}
        for port, path in inputs.items():
            (folder / "in" / port).symlink_to(path)
            if port == "tokens":
                continue
            ports[port] = {"path": f"in/{port}", "list": False, "entries": [["", f"in/{port}"]]}
        job = {"job": 1, "mode": "run", "kind": kind, "version": 1, "stage": kind, "key": "b3:0", "attempt": 1,
               "params": params, "work": str(folder), "inputs": ports, "outputs": {output: type_},
               "threads": self.threads}
        (folder / "job.json").write_text(json.dumps(job))
        began = time.perf_counter()
        child = subprocess.Popen([str(self.program), "exec-stage", str(folder / "job.json")], cwd=folder,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        figures, last = {}, {}
        for line in child.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "metric":
                figures[event["name"]] = event["value"]
            elif event.get("event") in ("done", "failed"):
                last = event
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0 or last.get("event") != "done":
            sys.exit(f"{kind} failed: {last}")
        return time.perf_counter() - began, usage.ru_maxrss * 1024, folder / "out" / output, figures

    def pack(self, inputs, **params):
        seconds, peak, result, figures = self.stage("pack", {"context": 2048, **params}, inputs, "tokens", "tokens")
        return seconds, peak, result, json.loads((result / "report.json").read_text()), figures


# --- peers ------------------------------------------------------------------------------------------------------

def peer(name, corpus, tokenizer, threads):
    """In a process of its own: seconds of encoding, how many tokens, and their digest as `train.bin` has them."""
    import pyarrow.parquet
    texts = pyarrow.parquet.read_table(corpus, columns=["text"])["text"].to_pylist()
    path = Path(tokenizer) / "tokenizer.json"
    if name == "tokenizers":
        from tokenizers import Tokenizer
        encoder = Tokenizer.from_file(str(path))
        encoder.encode_special_tokens = True

        def encode(batch):
            # The quicker of its two ways: without the offsets that nobody asks for here.
            return [each.ids for each in encoder.encode_batch_fast(batch, add_special_tokens=False)]
    else:
        import tiktoken
        encoder = tiktoken_of(json.loads(path.read_text(encoding="utf-8")))

        def encode(batch):
            return encoder.encode_ordinary_batch(batch, num_threads=threads)
    encode(texts[:100])
    seconds, count, digest = 0.0, 0, hashlib.sha256()
    for at in range(0, len(texts), 10_000):
        batch = texts[at:at + 10_000]
        began = time.perf_counter()
        ids = encode(batch)
        seconds += time.perf_counter() - began
        for each in ids:
            count += len(each) + 1
            digest.update(array("H", each + [0]).tobytes())
    print(json.dumps({"seconds": seconds, "tokens": count, "digest": digest.hexdigest()}))


def tiktoken_of(tokenizer):
    """tiktoken's form of the same vocabulary: bytes by rank, and the same pattern."""
    import tiktoken
    letters, hidden = {}, 256
    for byte in range(256):
        seen = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        letters[chr(byte if seen else hidden)] = byte
        hidden += not seen
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ranks = {bytes(letters[letter] for letter in token): rank
             for token, rank in tokenizer["model"]["vocab"].items() if token not in special}
    pattern = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    return tiktoken.Encoding("muse", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


# --- what is measured -------------------------------------------------------------------------------------------

def speed(args, muse, work, tokenizer, source):
    corpus = work / "corpus"
    texts = documents(source, args.megabytes * 10**6, 1)
    count = write_corpus(corpus, texts)
    size = sum(len(text.encode()) for text in documents(source, args.megabytes * 10**6, 1))
    print(f"{count} documents, {size / 1e6:.0f} MB, {args.threads} threads, rounds: {args.rounds}")
    times = {"muse": [], "tokenizers": [], "tiktoken": []}
    first_pass, tokens, same = [], 0, {}
    for _ in range(args.rounds):
        for name in ("tokenizers", "tiktoken"):
            words = [sys.executable, __file__, "--texts", args.texts, "--peer", name, "--work", str(work),
                     "--corpus", str(corpus), "--tokenizer", str(tokenizer), "--threads", str(args.threads)]
            environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "true"}
            said = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            said = json.loads(said)
            times[name].append(said["seconds"])
            same[name] = said["digest"]
            peer_tokens = said["tokens"]
        seconds, _, result, report, figures = muse.pack({"corpus": corpus, "tokenizer": tokenizer}, validation=0)
        times["muse"].append(seconds)
        first_pass.append(figures["tokens_per_second"])
        tokens = report["train"]["tokens"]
        same["muse"] = hashlib.sha256((result / "train.bin").read_bytes()).hexdigest()
    rates = {name: tokens / statistics.median(each) for name, each in times.items()}
    megabytes = {name: size / 1e6 / statistics.median(each) for name, each in times.items()}
    for name in ("tokenizers", "tiktoken"):
        row(f"{name}: encoding alone", f"{rates[name] / 1e6:6.2f} M tokens/s, {megabytes[name]:6.1f} MB/s")
    ahead = rates["muse"] > max(rates["tokenizers"], rates["tiktoken"])
    row("muse: the whole stage", f"{rates['muse'] / 1e6:6.2f} M tokens/s, {megabytes['muse']:6.1f} MB/s",
        "ahead of both", ahead)
    row("muse: reading, encoding and writing", f"{statistics.median(first_pass) / 1e6:6.2f} M tokens/s")
    for name in ("tokenizers", "tiktoken"):
        row(f"times {name}", f"{rates['muse'] / rates[name]:.2f}")
    row("ids are those of tokenizers", f"{tokens} tokens", "all", same["muse"] == same["tokenizers"])
    row("ids are those of tiktoken", f"{peer_tokens} tokens", "all", same["muse"] == same["tiktoken"])


def packing(args, muse, work, tokenizer, _source):
    """Flat files of documents whose lengths are log-normal; the tokens do not matter."""
    context = 2048
    vocab = 1 + max(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"].values())
    for median, sigma in [(400, 1.0), (150, 1.2), (700, 1.0), (1000, 0.7)]:
        rng = random.Random(1)
        flat = array("H")
        lengths = [max(1, int(rng.lognormvariate(math.log(median), sigma))) for _ in range(args.documents)]
        pool = array("H", (rng.randrange(4, vocab) for _ in range(max(lengths))))
        for length in lengths:
            flat.extend(pool[:length])
            flat.append(0)
        path = work / "lengths.bin"
        path.write_bytes(flat.tobytes())
        fit = sum(length + 1 <= context for length in lengths) / len(lengths)
        print(f"median {median}, sigma {sigma}: {len(lengths)} documents, {len(flat) / 1e6:.0f} M tokens, "
              f"{fit:.1%} fit into {context}")
        for strategy in ("concat", "best-fit", "balanced"):
            seconds, _, _, report, figures = muse.pack({"tokens": path, "tokenizer": tokenizer}, tokens="in/tokens",
                                                       strategy=strategy, validation=0)
            side = report["train"]
            used, cut = side["positions_used"], side["cut_though_they_fit"]
            whole = strategy == "concat" or cut == 0
            holds = (whole and used >= 0.99) if strategy == "best-fit" else None
            after = seconds - report["train"]["tokens"] / figures["tokens_per_second"]
            row(strategy, f"{used:.3%} used, {cut} cut that fit", "99%, none" if strategy == "best-fit" else None, holds)
            row("", f"imbalance {side['imbalance']:.3f}, laid out in {after:.1f} s")
        path.unlink()


def memory(args, muse, work, tokenizer, source):
    for size in (500, 5000):
        corpus = work / f"corpus-{size}"
        write_corpus(corpus, documents(source, size * 10**6, 2))
        for strategy in ("concat", "best-fit", "balanced"):
            seconds, peak, *_ = muse.pack({"corpus": corpus, "tokenizer": tokenizer}, strategy=strategy)
            row(f"{size / 1000} GB, {strategy}", f"{peak / 2**20:.0f} MiB, {seconds:.0f} s", "1 GiB", peak <= 1 << 30)
        shutil.rmtree(corpus)


def inside(work):
    """Starts again inside an environment that has what is needed."""
    home = work / "venv"
    python = home / "bin" / "python3"
    if Path(sys.prefix).resolve() == home.resolve():
        return
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "tokenizers", "tiktoken", "pyarrow"], check=True)
    sys.exit(subprocess.run([str(python), *sys.argv]).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--megabytes", type=int, default=150)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokenizer", help="a folder with a tokenizer; without it muse trains one of 32,000 tokens")
    parser.add_argument("--work", default=str(ROOT / "target" / "data_pack"))
    parser.add_argument("--muse", default=str(ROOT / "target" / "release" / "muse"))
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--corpus", help=argparse.SUPPRESS)
    args = parser.parse_args()
    work = Path(args.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    inside(work)
    if args.peer:
        return peer(args.peer, args.corpus, args.tokenizer, args.threads)
    for old in [path for path in work.iterdir() if path.name != "venv"]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    muse, source = Muse(args, work), sentences(args.texts)
    tokenizer = work / "tokenizer"
    if args.tokenizer:
        shutil.copytree(args.tokenizer, tokenizer)
    else:
        write_corpus(work / "learned", documents(source, 30 * 10**6, 3))
        made = muse.stage("tokenizer", {"vocab_size": 32_000}, {"corpus": work / "learned"}, "tokenizer", "tokenizer")
        shutil.copytree(made[2], tokenizer)
    measures = [what for what, wanted in ((packing, args.packing), (memory, args.memory)) if wanted] or [speed]
    for measure in measures:
        measure(args, muse, work, tokenizer, source)
    if MISSED:
        sys.exit(f"missed: {', '.join(MISSED)}")


if __name__ == "__main__":
    main()
