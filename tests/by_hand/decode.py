#!/usr/bin/env python3
"""How fast a model writes on the CPU, beside llama.cpp on the same weights: tokens a second of one text, on two threads.

    cargo build --release
    python3 tests/by_hand/decode.py [--only 125m] [--keep DIR]      # five minutes, 12 GB of disk; --keep saves making the models again

`--kind ternary --only 500m --only 3b` puts three values beside TQ2_0; the last columns are how long muse took to open, and its memory when it was open and at
most, of the file of weights. `--alone` measures muse without the other, which then need not be there.

Makes models of about 125M, 350M and 500M parameters (first weights, exported), and has both programs write as many tokens
behind the same prompt, in turns: `muse serve` through its API, choosing, HTTP and JSON included, and llama.cpp by `llama_decode`
alone, as it comes otherwise. The time of a token is that of a long answer less that of an answer of one token. Prints a table in
Markdown of medians, and ends with 1 where muse has less than 0.8 of llama.cpp's tokens. Needs llama-cpp-python.
"""
import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import llama_cpp
except ImportError:
    llama_cpp = None

SIZES = {
    "125m": {"vocab_size": 32768, "layers": 16, "width": 768, "heads": 12, "kv_heads": 4, "ffn": 2048, "tied": True},
    "350m": {"vocab_size": 49152, "layers": 24, "width": 1024, "heads": 16, "kv_heads": 4, "ffn": 3200, "tied": True},
    "500m": {"vocab_size": 49152, "layers": 28, "width": 1152, "heads": 18, "kv_heads": 6, "ffn": 3584, "tied": True},
    "3b": {"vocab_size": 32768, "layers": 28, "width": 3072, "heads": 24, "kv_heads": 8, "ffn": 8192, "tied": True},
}
# What muse calls it, and a GGUF file. Of three values, what is not is in 8 bits on both sides.
KINDS = {"f32": "f32", "bf16": "bf16", "int8": "q8_0", "ternary": "tq2_0"}
CONTEXT, PROMPT, THREADS = 512, 128, 2
LEAST = 0.8


def said(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{program} {arguments}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def models(muse, work, sizes, kinds, alone):
    """Makes a folder for muse and files for llama.cpp."""
    stages = {
        "corpus": {"uses": "download", "with": {"source": "synthetic", "languages": ["en"], "count": 600, "seed": 1}},
        "tokens": {"uses": "tokenizer", "inputs": {"corpus": "corpus"}, "with": {"vocab_size": 600}},
    }
    names = []
    for size in sizes:
        with open(os.path.join(work, f"{size}.yaml"), "w") as file:
            json.dump({**SIZES[size], "context": CONTEXT}, file)
        for kind in kinds:
            ternary = kind == "ternary"
            start = f"{size}_three" if ternary else size
            stages[start] = {"uses": "compress", "with": {"model": f"{size}.yaml", **({"ternary": True} if ternary else {})}}
            inputs = {"model": start, "tokenizer": "tokens"}
            own = {"format": "muse", **({"dtype": "ternary"} if ternary else {})}
            stages[f"{start}_muse"] = {"uses": "export", "inputs": inputs, "with": own}
            names.append(f"{start}_muse")
            if not alone:
                stages[f"{size}_{kind}"] = {"uses": "export", "inputs": inputs, "with": {"format": "gguf", "dtype": KINDS[kind]}}
                names.append(f"{size}_{kind}")
    page = os.path.join(work, "page.yaml")
    with open(page, "w") as file:
        json.dump({"muse": 1, "name": "decode", "stages": stages}, file)
    cache = ["--cache-dir", os.path.join(work, "cache")]
    said(muse, *cache, "run", page, "--device", "cpu")
    for name in dict.fromkeys(names):
        if not os.path.exists(os.path.join(work, name)):
            said(muse, *cache, "get", page, name, "--to", os.path.join(work, name))


class Muse:
    def __init__(self, muse, folder, precision):
        words = [muse, "serve", folder, "--port", "0", "--precision", precision, "--threads", str(THREADS), "--slots", "1", "--device", "cpu"]
        begin = time.perf_counter()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("http://")
        self.opened = time.perf_counter() - begin
        self.folder, self.name = folder, os.path.basename(folder)
        self.open = self.memory("VmRSS:")

    def seconds(self, prompt, tokens):
        door = http.client.HTTPConnection(self.address)
        asked = {"model": self.name, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
        begin = time.perf_counter()
        door.request("POST", "/v1/completions", json.dumps(asked), {"Content-Type": "application/json"})
        answer = json.loads(door.getresponse().read())
        seconds = time.perf_counter() - begin
        assert answer["usage"]["completion_tokens"] == tokens, answer
        return seconds

    def rate(self, prompt, tokens):
        # What the prompt costs is in neither: its slot holds it.
        short = statistics.median(self.seconds(prompt, 1) for _ in range(3))
        return tokens / (self.seconds(prompt, tokens + 1) - short)

    def memory(self, what="VmHWM:"):
        """The most memory that it has had, or what it has, of what the file of its weights has."""
        with open(f"/proc/{self.process.pid}/status") as status:
            found = next(int(line.split()[1]) for line in status if line.startswith(what))
        return found * 1024 / os.path.getsize(os.path.join(self.folder, "model.safetensors"))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Llama:
    def __init__(self, folder):
        self.llama = llama_cpp.Llama(os.path.join(folder, "model.gguf"), n_ctx=CONTEXT, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)

    def run(self, ids):
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        batch = llama_cpp.llama_batch_get_one(tokens, len(ids))
        assert llama_cpp.llama_decode(self.llama.ctx, batch) == 0
        llama_cpp.llama_get_logits(self.llama.ctx)

    def rate(self, prompt, tokens):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.llama.ctx), True)
        self.run(prompt)
        begin = time.perf_counter()
        for at in range(tokens):
            self.run(prompt[at % PROMPT:][:1])
        return tokens / (time.perf_counter() - begin)

    def end(self):
        self.llama.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--muse", default=os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release/muse"))
    parser.add_argument("--only", choices=SIZES, action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="muse alone")
    parser.add_argument("--keep", help="a folder to work in, which stays")
    given = parser.parse_args()
    sizes, kinds = given.only or ["125m", "350m", "500m"], given.kind or ["f32", "bf16", "int8"]
    if llama_cpp is None and not given.alone:
        raise SystemExit("llama-cpp-python is not there: `pip install llama-cpp-python`, or `--alone`")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        work = os.path.abspath(given.keep or temporary)
        os.makedirs(work, exist_ok=True)
        models(given.muse, work, sizes, kinds, given.alone)
        prompt = [20 + at * at % 500 for at in range(PROMPT)]
        beside = "muse alone" if given.alone else f"llama-cpp-python {llama_cpp.__version__}"
        print(f"{beside}; {THREADS} threads, a prompt of {PROMPT}, {given.tokens} tokens behind it\n\n"
              "| model | kept | muse, tokens/s | llama.cpp | ratio | each round | opened, s | memory of the file: open | at most |\n"
              "|---|---|---|---|---|---|---|---|---|", flush=True)
        for size in sizes:
            for kind in kinds:
                ternary = kind == "ternary"
                own = os.path.join(work, f"{size}_three_muse" if ternary else f"{size}_muse")
                muse = Muse(given.muse, own, "int8" if ternary else kind)
                sides = [muse] if given.alone else [muse, Llama(os.path.join(work, f"{size}_{kind}"))]
                [side.rate(prompt, 4) for side in sides]
                rounds = [[side.rate(prompt, given.tokens) for side in sides] for _ in range(given.rounds)]
                memory = muse.memory()
                [side.end() for side in sides]
                ours, *theirs = (statistics.median(side) for side in zip(*rounds))
                if given.alone:
                    beside = "| | | |"
                else:
                    ratio = statistics.median(ours / theirs for ours, theirs in rounds)
                    good &= ratio >= LEAST
                    each = " ".join(f"{ours / theirs:.2f}" for ours, theirs in rounds)
                    beside = f"| {theirs[0]:.1f} | {ratio:.2f} | {each} |"
                print(f"| {size} | {kind} | {ours:.1f} {beside} {muse.opened:.1f} | {muse.open:.2f} | {memory:.2f} |", flush=True)
    sys.exit(0 if good else 1)


main()
