"""Decoding on a GPU: muse beside transformers with a static cache and torch.compile, in one run. Needs torch, transformers and a GPU.

    cargo build --release -p muse-model --example decode
    python3 tests/by_hand/decode_gpu.py target/release/examples/decode

Both sides have a Llama of the same sizes with random weights in bf16, the same prompt and the likeliest token each time. For transformers
the faster of two ways counts: its own `generate`, and a loop around the compiled model with nothing else in it.
"""
import re
import statistics
import subprocess
import sys
import time

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache

PROMPT, TOKENS = 128, 128
SIZES = {
    "125M": dict(layers=12, width=768, heads=12, kv=12, ffn=2048, vocab=32000),
    "0.5B": dict(layers=24, width=1280, heads=20, kv=5, ffn=3584, vocab=32000),
    "1.5B": dict(layers=28, width=2048, heads=16, kv=8, ffn=6144, vocab=32000),
}


def model_of(s):
    config = LlamaConfig(
        vocab_size=s["vocab"], hidden_size=s["width"], intermediate_size=s["ffn"], num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"], num_key_value_heads=s["kv"], max_position_embeddings=PROMPT + TOKENS + 8, tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def by_loop(model, batch):
    """Milliseconds a step of the compiled model, the likeliest token taken on the GPU and read by the host each time."""
    cache = StaticCache(config=model.config, max_cache_len=PROMPT + TOKENS + 8)
    ids = torch.arange(PROMPT, device="cuda").repeat(batch, 1) % 1000
    step = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True)
    with torch.inference_mode():
        out = model(ids, past_key_values=cache, cache_position=torch.arange(PROMPT, device="cuda"), use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
        times = []
        for at in range(TOKENS):
            place = torch.tensor([PROMPT + at], device="cuda")
            torch.cuda.synchronize()
            begin = time.perf_counter()
            out = step(token.clone(), past_key_values=cache, cache_position=place, position_ids=place[None].expand(batch, -1), use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
            token.tolist()
            times.append(time.perf_counter() - begin)
    return statistics.median(times[TOKENS // 2:]) * 1e3


def by_generate(model, batch):
    """Milliseconds a token of `generate`, whatever it does: the difference between many tokens and few."""
    ids = torch.arange(PROMPT, device="cuda").repeat(batch, 1) % 1000

    def run(count):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model.generate(ids, max_new_tokens=count, min_new_tokens=count, do_sample=False, cache_implementation="static")
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    run(TOKENS), run(TOKENS)
    return statistics.median([(run(TOKENS) - run(TOKENS // 4)) / (TOKENS - TOKENS // 4) for _ in range(3)]) * 1e3


def by_muse(program, s):
    """Milliseconds a step of each precision, of one text and of 32."""
    sizes = [2, s["layers"], s["width"], s["heads"], s["kv"], s["ffn"], s["vocab"], PROMPT]
    said = subprocess.run([program, "gpu", *map(str, sizes)], capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stdout + said.stderr)
    print(said.stdout, flush=True)
    rows = re.findall(r"^ *(f32|bf16|int8) +\d+ +([\d.]+) .* ([\d.]+)$", said.stdout, re.M)
    return {kept: {1: 1e3 / float(one), 32: 32e3 / float(many)} for kept, one, many in rows}


def main():
    program, wanted = sys.argv[1], sys.argv[2:] or list(SIZES)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.cuda.get_device_name()}")
    missed = 0
    for name in wanted:
        ours = by_muse(program, SIZES[name])
        for batch in (1, 32):
            model = model_of(SIZES[name])
            theirs = {}
            for way, measure in (("loop", by_loop), ("generate", by_generate)):
                try:
                    theirs[way] = measure(model, batch)
                except Exception as error:  # one of the two ways is enough
                    print(f"  {way}: {type(error).__name__}: {str(error)[:300]}")
            del model
            torch._dynamo.reset()
            torch.cuda.empty_cache()
            best = min(theirs.values())
            ratio = best / ours["bf16"][batch]
            missed += ratio < 1
            said = ", ".join(f"{way} {ms:.3f}" for way, ms in theirs.items())
            own = ", ".join(f"{kept} {ms[batch]:.3f}" for kept, ms in ours.items())
            print(f"{name} batch {batch:2}: muse {own} ms; transformers {said} ms; ratio {ratio:.2f}", flush=True)
    sys.exit(1 if missed else 0)


main()
