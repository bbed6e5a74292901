#!/usr/bin/env python3
"""Kinds of models beside dense ones: the loss of what is held back, at equal tokens, beside dense models of as many parameters and of as
many bytes in use.

    python3 tests/by_hand/architectures.py MUSE --text input.txt                     # letters: ten minutes on a GPU
    python3 tests/by_hand/architectures.py MUSE --text japanese.txt --bpe 8000

A text is cut at empty lines, and the last tenth is held back. `--only 'dense;low_rank: 32'` chooses kinds. All train at the same rate for as many
steps, with one seed. Prints a table in Markdown as it goes. Needs Python's standard library.
"""
import argparse
import json
import os
import subprocess
import tempfile

LAYERS, WIDTH, HEADS, FFN = 4, 256, 4, 704

# What stands in a model file beside its sizes.
KINDS = {
    "dense": "",
    "round: int8": "linear: { round: int8 }",
    "round: ternary": "linear: { round: ternary }",
    "low_rank: 32": "linear: { low_rank: 32 }",
    "low_rank: 32, round: ternary": "linear: { low_rank: 32, round: ternary }",
    "tensor_train: 16": "embedding: { tensor_train: 16 }",
    "tensor_train: 64": "embedding: { tensor_train: 64 }",
    "tensor_train: 64, round: int8": "embedding: { tensor_train: 64, round: int8 }",
    "tensor_train: 16, normed: false": "embedding: { tensor_train: 16, normed: false }",
    "tensor_train: 64, normed: false": "embedding: { tensor_train: 64, normed: false }",
    "mla": "mixers: [mla]\nmla: { rank: 64, nope_width: 32, rope_width: 32 }",
    "ttt": "mixers: [ttt]",
    "ttt, rate 0.5": "mixers: [ttt]\nttt: { rate: 0.5 }",
    "ttt of one view": "mixers: [ttt]\nttt: { views: one }",
    "bk": "mixers: [bk]\nbk: { chains: 8 }",
    "hyperbolic": "mixers: [hyperbolic]",
    "ttt, attention": "mixers: [ttt, attention]",
    "bk, attention": "mixers: [bk, attention]\nbk: { chains: 8 }",
    # As wide for a token as the dense model, and four and a half times as wide in all.
    "experts": "experts: { count: 16, chosen: 2, shared: 2, width: 176, dense: 1 }",
    "experts, no balance": "experts: { count: 16, chosen: 2, shared: 2, width: 176, dense: 1, balance: 0 }",
    "experts, sigmoid and bias": "experts: { count: 16, chosen: 2, shared: 2, width: 176, dense: 1, gate: sigmoid, balance: 0, bias_rate: 0.001 }",
    "mla, experts": "mixers: [mla]\nmla: { rank: 64, value_rank: 64, nope_width: 32, rope_width: 32, bias: true }\nqk_norm: false\n"
                    "experts: { count: 16, chosen: 2, shared: 2, width: 176, dense: 1 }",
    "low_rank: 32, tensor_train: 64": "linear: { low_rank: 32 }\nembedding: { tensor_train: 64 }",
}

PAGE = """muse: 1
name: architectures
stages:
  text: { uses: download, with: { source: file, paths: [TEXT], documents: paragraph } }
  words: { uses: tokenizer, inputs: { corpus: text }, with: TOKENIZER }
  packed:
    uses: pack
    inputs: { corpus: text, tokenizer: words }
    with: { context: 256, strategy: concat, validation: { tail: 0.1 } }
  base:
    uses: pretrain
    inputs: { data: packed }
    with:
      model: model.yaml
      steps: STEPS
      batch_tokens: 8192
      optimizer: { kind: adamw, betas: [0.9, 0.99] }
      lr: RATE
      schedule: { kind: cosine, warmup: 40, min_ratio: 0.1 }
      precision: PRECISION
      eval_every: EVERY
"""


class Bench:
    def __init__(self, given, work):
        self.given, self.work = given, work
        self.cuda = given.device == "cuda"
        words = f"{{ algorithm: bpe, vocab_size: {given.bpe} }}" if given.bpe else "{ algorithm: char }"
        text = os.path.relpath(os.path.abspath(given.text), work)
        changes = {"TEXT": text, "TOKENIZER": words, "STEPS": given.steps, "RATE": given.lr, "EVERY": max(given.steps // 8, 1),
                   "PRECISION": "bf16" if self.cuda else "f32"}
        page = PAGE
        for name, value in changes.items():
            page = page.replace(name, str(value))
        self.page = self.file("page.yaml", page)

    def file(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def model(self, kind, width=WIDTH, ffn=FFN):
        """Writes the model's file."""
        sizes = f"layers: {LAYERS}\nwidth: {width}\nheads: {HEADS}\nffn: {ffn}\ntied: true\n{KINDS[kind]}\n"
        return self.file("model.yaml", sizes)

    def muse(self, *words):
        said = subprocess.run([self.given.muse, "--cache-dir", os.path.join(self.work, "cache"), *words], capture_output=True, text=True)
        if said.returncode != 0:
            raise SystemExit(said.stderr or said.stdout)
        return said.stdout

    def cost(self):
        """Parameters of the model that is written, and bytes in use."""
        said = json.loads(self.muse("params", os.path.join(self.work, "model.yaml"), "--vocab-size", str(self.vocabulary), "--json"))["cost"]
        return said["total"], said["inference"]["weights"]

    def trained(self):
        """Losses of what is held back, what the busiest expert had to do, and seconds of the training."""
        said = self.muse("run", self.page, "--device", self.given.device, "--json")
        events = [json.loads(line) for line in said.splitlines()]
        took = [e["seconds"] for e in events if e["event"] == "stage_finished" and e["stage"] == "base"]
        told = lambda name: [e["value"] for e in events if e["event"] == "metric" and e["name"] == name]
        return told("val_loss"), told("expert_load"), took[0]

    def prepare(self):
        """Makes what all train on, and counts its words."""
        self.model("dense")
        self.muse("run", self.page, "packed", "--json")
        self.muse("get", self.page, "words", "--to", os.path.join(self.work, "words"))
        with open(os.path.join(self.work, "words", "tokenizer.json")) as file:
            known = json.load(file)
        self.vocabulary = len(set(known["model"]["vocab"]) | {token["content"] for token in known["added_tokens"]})

    def dense(self, goal, which):
        """The dense model that comes nearest to so many parameters or bytes: its sizes."""
        def off(width):
            ffn = width * FFN // WIDTH // 4 * 4
            self.model("dense", width, ffn)
            return abs(self.cost()[which] - goal), width, ffn
        _, width, ffn = min(off(width) for width in range(16, 2 * WIDTH + 1, 8))
        return width, ffn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("muse")
    parser.add_argument("--text", required=True)
    parser.add_argument("--bpe", type=int)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--lr", default="2e-3")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only")
    given = parser.parse_args()
    given.muse = os.path.abspath(given.muse)
    kinds = [kind.strip() for kind in given.only.split(";")] if given.only else list(KINDS)
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(given, work)
        bench.prepare()
        print(f"{bench.vocabulary} tokens of the vocabulary, {given.steps} steps of 8,192 tokens, rate {given.lr}\n")
        print("| | parameters | KiB in use, bf16 | loss at the end, least | seconds |\n|---|---|---|---|---|")

        def row(name):
            (total, held), (losses, load, took) = bench.cost(), bench.trained()
            busiest = f" (the busiest expert {load[-1]:.2f})" if load else ""
            print(f"| {name}{busiest} | {total / 1e3:,.0f}k | {held / 1024:,.0f} | {losses[-1]:.3f}, {min(losses):.3f} | {took:.0f} |", flush=True)
            return total, held

        beside = {}
        for kind in kinds:
            bench.model(kind)
            total, held = row(kind)
            if kind == "dense":
                whole = total, held
                continue
            # As many parameters where there are other ones, as many bytes where those are fewer.
            which = 0 if abs(total - whole[0]) > 0.02 * whole[0] else 1
            if which == 1 and held > 0.98 * whole[1]:
                continue
            size = bench.dense((total, held)[which], which)
            if size != (WIDTH, FFN) and size not in beside:
                bench.model("dense", *size)
                beside[size] = row(f"dense of as many {('parameters', 'bytes')[which]}: width {size[0]}, SwiGLU {size[1]}")


main()
