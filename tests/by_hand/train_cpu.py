#!/usr/bin/env python3
"""nanoGPT's shakespeare_char for the CPU, by muse and by PyTorch: the same model, data, batches in number and size, optimizer
and schedule, the same evaluations, the same cores; in turns, so that a noisy machine is noisy for both.

  python3 tests/by_hand/train_cpu.py --text input.txt [--muse target/release/muse] [--rounds 3] [--steps 2000]

Needs torch. `input.txt` is the text of char-rnn's tinyshakespeare. Prints a table in Markdown.
"""
import argparse, functools, json, math, statistics, subprocess, tempfile, time

import torch
import torch.nn as nn
import torch.nn.functional as F

from shakespeare import PAGE, served

LAYERS, WIDTH, HEADS, FFN, CONTEXT, BATCH = 4, 128, 4, 320, 64, 12
PEAK, WARMUP, FLOOR, EVAL_EVERY = 4e-3, 100, 0.1, 250


def rms(x, weight):
    return F.rms_norm(x, (x.shape[-1],), weight, 1e-6)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        linear = functools.partial(nn.Linear, bias=False)
        self.q, self.k, self.v, self.o = (linear(WIDTH, WIDTH) for _ in range(4))
        self.gate, self.up, self.down = linear(WIDTH, FFN), linear(WIDTH, FFN), linear(FFN, WIDTH)
        self.n1, self.n2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))
        self.qn, self.kn = (nn.Parameter(torch.ones(WIDTH // HEADS)) for _ in range(2))

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = rms(x, self.n1)
        heads = lambda y: y.view(b, t, HEADS, -1).transpose(1, 2)

        def turned(y):
            p, r = y.chunk(2, -1)
            return torch.cat([p * cos - r * sin, p * sin + r * cos], -1)

        q, k = turned(rms(heads(self.q(h)), self.qn)), turned(rms(heads(self.k(h)), self.kn))
        a = F.scaled_dot_product_attention(q, k, heads(self.v(h)), is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, WIDTH))
        h = rms(x, self.n2)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.Parameter(torch.ones(WIDTH))
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = math.sqrt(2 * LAYERS) if name.endswith(("o.weight", "down.weight")) else 1
                nn.init.normal_(weight, std=0.02 / scale)
        half = WIDTH // HEADS // 2
        angles = torch.arange(CONTEXT).float()[:, None] / 10000 ** (torch.arange(half).float() / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, labels):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = rms(x, self.norm) @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def by_torch(text, vocabulary, steps, compiled):
    """Seconds of the training, evaluations with it, and the loss at its end."""
    torch.manual_seed(1)
    letters = {letter: at for at, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[letter] for letter in text])
    cut = len(ids) * 9 // 10
    train, held = ids[:cut], ids[cut:]
    model = Model(vocabulary)
    decayed = [w for n, w in model.named_parameters() if w.dim() == 2 and "embedding" not in n]
    others = [w for n, w in model.named_parameters() if w.dim() != 2 or "embedding" in n]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99), eps=1e-8, fused=True)
    run = torch.compile(model) if compiled else model
    windows = len(train) // CONTEXT - 1
    begin = time.perf_counter()
    order = iter(())
    for step in range(steps):
        rate = (step + 1) / WARMUP if step < WARMUP else FLOOR + (1 - FLOOR) * 0.5 * (
            1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK * rate
        starts = []
        while len(starts) < BATCH:
            at = next(order, None)
            if at is None:
                order = iter((torch.randperm(windows) * CONTEXT).tolist())
                continue
            starts.append(at)
        rows = torch.stack([train[at:at + CONTEXT + 1] for at in starts])
        loss = run(rows[:, :-1], rows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % EVAL_EVERY == 0:
            with torch.no_grad():
                whole = (len(held) - 1) // CONTEXT
                inputs = held[:whole * CONTEXT].view(whole, CONTEXT)
                labels = held[1:whole * CONTEXT + 1].view(whole, CONTEXT)
                losses = [model(a, b) * len(a) for a, b in zip(inputs.split(256), labels.split(256))]
                evaluated = (sum(losses) / whole).item()
    return time.perf_counter() - begin, evaluated


def by_muse(muse, url, steps, cache):
    """Seconds of the stage that trains, and the best loss on what is held back."""
    arguments = [muse, "--cache-dir", cache, "run", PAGE, "--set", f"url={url}",
                 "--set", f"steps={steps}", "--force", "base", "--device", "cpu", "--json"]
    said = subprocess.run(arguments, capture_output=True, text=True)
    events = [json.loads(line) for line in said.stdout.splitlines()]
    done = [e for e in events if e["event"] == "stage_finished" and e["stage"] == "base"]
    if not done or done[-1]["outcome"] != "ran":
        raise SystemExit(said.stderr)
    losses = [e["value"] for e in events if e["event"] == "metric" and e["name"] == "val_loss"]
    return done[-1]["seconds"], losses[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--muse", default="target/release/muse")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--vocabulary", type=int, default=322, help="letters, bytes and special tokens, as muse's tokenizer has")
    given = parser.parse_args()
    with open(given.text) as file:
        text = file.read()
    rows = {"muse": [], "PyTorch, eager": [], "PyTorch, compile": []}
    with tempfile.TemporaryDirectory() as cache, served(given.text) as url:
        for _ in range(given.rounds):
            rows["muse"].append(by_muse(given.muse, url, given.steps, cache))
            rows["PyTorch, eager"].append(by_torch(text, given.vocabulary, given.steps, False))
            rows["PyTorch, compile"].append(by_torch(text, given.vocabulary, given.steps, True))
    own = statistics.median(seconds for seconds, _ in rows["muse"])
    print(f"| {given.steps} steps, torch {torch.__version__}, {torch.get_num_threads()} threads | seconds, median of {given.rounds} | muse's share | validation loss |")
    print("|---|---|---|---|")
    for name, runs in rows.items():
        seconds = statistics.median(seconds for seconds, _ in runs)
        print(f"| {name} | {seconds:.1f} | {own / seconds:.2f} | {statistics.median(loss for _, loss in runs):.4f} |")


main()
