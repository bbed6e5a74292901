#!/usr/bin/env python3
"""A training step on a GPU, in bf16, beside PyTorch with torch.compile on the same model: python3 tests/by_hand/step_gpu.py target/release/muse

Needs torch on the same machine, but with `--muon`: that measures a step with Muon beside one with AdamW, both muse's, on the row 134m-32 if
none is named. `--only 134m-8,134m-32` chooses rows. Each side runs in processes of its own, one after the other, `--runs`
times (2); the best of each counts. Ends with 1 where a row misses its reach.
"""
import argparse
import json
import subprocess
import sys
import time

from runs import MODELS, bench

# What is to be reached of PyTorch's tokens/s.
REACH = {"134m-8": 0.9, "134m-32": 1.0, "0.5b": 1.0, "1.5b": 1.0}


def torch_side(layers, width, heads, ffn, vocabulary, tokens, sequences, steps):
    import torch
    from torch import nn
    from torch.nn import functional as f

    head = width // heads
    turn = torch.arange(tokens)[:, None] * 10000.0 ** (-torch.arange(0, head, 2) / head)
    cos, sin = (g(turn).to("cuda", torch.bfloat16) for g in (torch.cos, torch.sin))

    def rotated(x):
        first, second = x[..., : head // 2], x[..., head // 2 :]
        return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            linear = lambda wide, out: nn.Linear(wide, out, bias=False)
            self.before, self.between = nn.RMSNorm(width), nn.RMSNorm(width)
            self.qkv, self.out = linear(width, 3 * width), linear(width, width)
            self.gate_up, self.down = linear(width, 2 * ffn), linear(ffn, width)

        def forward(self, x):
            by_head = lambda y: y.unflatten(-1, (heads, head)).transpose(1, 2)
            q, k, v = map(by_head, self.qkv(self.before(x)).split(width, -1))
            seen = f.scaled_dot_product_attention(rotated(q), rotated(k), v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).flatten(2))
            gate, up = self.gate_up(self.between(x)).split(ffn, -1)
            return x + self.down(f.silu(gate) * up)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, width)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids):
            x = self.embedding(ids).bfloat16()
            for layer in self.layers:
                x = layer(x)
            return f.cross_entropy(self.head(self.norm(x)).float().flatten(0, 1), ids.flatten())

    begin = time.time()
    model = Model().cuda()
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(vocabulary, (sequences, tokens), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = compiled(ids)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    torch.cuda.synchronize()
    first = time.time() - begin
    for _ in range(4):
        step()
    torch.cuda.synchronize()
    begin = time.time()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    ms = (time.time() - begin) / steps * 1e3
    gib = torch.cuda.max_memory_reserved() / 2**30
    print(json.dumps({"ms_per_step": ms, "tokens_per_s": sequences * tokens / ms * 1e3, "gib": gib, "first_step_s": first}))


# How much longer a step with Muon may take than one with AdamW.
MUON_REACH = 1.05


def muse_side(binary, sizes, optimizer="adamw"):
    """What `muse bench` says, in the words of the other side."""
    *_, tokens, sequences, _ = sizes
    said = bench(binary, sizes, optimizer=optimizer)
    return {
        "params": said["parameters"],
        "ms_per_step": sequences * tokens / said["tokens_per_second"] * 1e3,
        "tokens_per_s": said["tokens_per_second"],
        "share": said["share_of_peak"] or 0.0,
        "gib": (said["memory_bytes"] or 0) / 2**30,
        "first_step_s": said["first_step_seconds"],
    }


def other_side(sizes):
    command = [sys.executable, __file__, "--torch", json.dumps(sizes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def best(runs):
    """The fastest of some runs, with the longest and the shortest time to the first step."""
    firsts = [run["first_step_s"] for run in runs]
    return {**min(runs, key=lambda run: run["ms_per_step"]), "first": max(firsts), "then": min(firsts)}


def beside_adamw(binary, names, runs):
    """Whether a step with Muon takes no longer than it may."""
    print("| model, sequences of tokens | AdamW: ms, GiB | Muon: ms, GiB | ms of it | reach | first step, s: AdamW, Muon |")
    print("|---|---|---|---|---|---|")
    reached = True
    for name in names:
        sizes = MODELS[name]
        # In turns, so that a GPU that becomes warm slows down both.
        pairs = [[muse_side(binary, sizes, kind) for kind in ("adamw", "muon")] for _ in range(runs)]
        adamw, muon = (best(side) for side in zip(*pairs))
        ratio = muon["ms_per_step"] / adamw["ms_per_step"]
        reached &= ratio <= MUON_REACH
        print(
            f"| {adamw['params'] / 1e6:.0f}M, {sizes[6]} of {sizes[5]} "
            f"| {adamw['ms_per_step']:.2f}, {adamw['gib']:.1f} | {muon['ms_per_step']:.2f}, {muon['gib']:.1f} "
            f"| {ratio:.3f} | {MUON_REACH} | {adamw['first']:.1f}, {muon['first']:.1f} |",
            flush=True,
        )
    return reached


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--only")
    parser.add_argument("--muon", action="store_true")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--torch", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        return torch_side(*args.torch)
    if not args.binary:
        parser.error("name the binary")
    names = (args.only or ("134m-32" if args.muon else ",".join(MODELS))).split(",")
    if args.muon:
        return int(not beside_adamw(args.binary, names, args.runs))
    missed = False
    print("| model, sequences of tokens | muse: ms, tokens/s, of the peak, GiB | torch.compile: ms, tokens/s, GiB | tokens/s of it | reach | first step, s: muse, torch |")
    print("|---|---|---|---|---|---|")
    for name in names:
        sizes, reach = MODELS[name], REACH[name]
        muse = best([muse_side(args.binary, sizes) for _ in range(args.runs)])
        torch = best([other_side(sizes) for _ in range(args.runs)])
        ratio = muse["tokens_per_s"] / torch["tokens_per_s"]
        missed |= ratio < reach
        print(
            f"| {muse['params'] / 1e6:.0f}M, {sizes[6]} of {sizes[5]} "
            f"| {muse['ms_per_step']:.1f}, {muse['tokens_per_s']:,.0f}, {muse['share']:.1%}, {muse['gib']:.1f} "
            f"| {torch['ms_per_step']:.1f}, {torch['tokens_per_s']:,.0f}, {torch['gib']:.1f} "
            f"| {ratio:.2f} | {reach} | {muse['first']:.1f} and {muse['then']:.1f}, {torch['first']:.0f} and {torch['then']:.0f} |",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
