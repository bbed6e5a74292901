#!/usr/bin/env python3
"""Makes the golden files that the model's tests compare with.

What a decoder computes is taken from Hugging Face transformers, what an optimizer does from PyTorch; only Muon is
written out here, because PyTorch's own works in bfloat16, and is held to it. Every model is small, in float32, with
weights of chance by a fixed seed. `README.md` beside this file is written by it too: names, shapes and versions.

    pip install torch transformers safetensors numpy
    python model/tests/golden/make.py

The same versions on the same kind of processor give the same bytes.
"""

import json
import math
import re
from pathlib import Path

import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
IGNORED = -100
ABOUT = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
         "safetensors": safetensors.__version__}
KINDS = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM),
         "mistral": (MistralConfig, MistralForCausalLM)}
# Four heads of width 10 in a width of 32: neither a power of two nor width / heads.
SHAPE = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 10, "max_position_embeddings": 64, "rms_norm_eps": 1e-5}
THETA = 10000.0
# YaRN with a small theta, so that among five frequencies some are kept, some are mixed and some are stretched.
YARN_THETA = 20.0
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 24, "low_freq_factor": 0.5,
          "high_freq_factor": 2.0}
written = {}


def save(name, says, tensors, about):
    """Writes a file. Its metadata has one entry, so that there is one order."""
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    golden = json.dumps(about | {"made_with": ABOUT}, sort_keys=True)
    save_file(tensors, HERE / f"{name}.safetensors", metadata={"golden": golden})
    written[name] = (says, about, tensors)


def weights_of_chance(model, seed):
    """Weights large enough that logits differ, and norms that are not all one."""
    chance = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=chance)
        parameter.data = 1 + 0.2 * noise if "norm" in name else noise / math.sqrt(parameter.shape[-1])


def block_mask(documents):
    """What is added to the scores of attention: nothing within a document up to the token itself, else a great minus."""
    length = documents.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool).tril() & (documents[:, :, None] == documents[:, None, :])
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]


def model(name, says, kind, *, seed, rows=2, length=24, tied=False, theta=THETA, scaling=None, window=None,
          documents=None, about=None):
    """One model: weights, a batch, logits, loss, and the gradient of every parameter."""
    make_config, make_model = KINDS[kind]
    config = {"model_type": kind, **SHAPE, "tie_word_embeddings": tied, "rope_theta": theta, "rope_scaling": scaling}
    if scaling and "original_max_position_embeddings" in scaling:
        config["max_position_embeddings"] = int(scaling["factor"] * scaling["original_max_position_embeddings"])
    if window:
        config["sliding_window"] = window
    given = {key: value for key, value in config.items() if key not in ("model_type", "rope_theta", "rope_scaling")}
    given["rope_parameters"] = {"rope_type": "default", "rope_theta": theta} | (scaling or {})
    if kind == "mistral":
        given["sliding_window"] = window
    net = make_model(make_config(**given, attn_implementation="eager", attention_dropout=0.0)).float().train()
    weights_of_chance(net, seed)

    chance = torch.Generator().manual_seed(seed + 1000)
    ids = torch.randint(0, SHAPE["vocab_size"], (rows, length), generator=chance)
    labels = torch.randint(0, SHAPE["vocab_size"], (rows, length), generator=chance)
    labels[torch.rand(rows, length, generator=chance) < 0.2] = IGNORED
    batch, more = {"input_ids": ids}, {}
    if documents:
        number = torch.repeat_interleave(torch.arange(len(documents)), torch.tensor(documents))[None]
        more["position_ids"] = torch.cat([torch.arange(length) for length in documents])[None]
        more["documents"] = number
        batch |= {"position_ids": more["position_ids"], "attention_mask": block_mask(number)}
    logits = net(**batch, use_cache=False).logits
    assert logits.dtype == torch.float32
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    loss.backward()

    rope = net.model.rotary_emb
    tensors = dict(net.named_parameters())
    tensors |= {f"grad.{name}": parameter.grad for name, parameter in net.named_parameters()}
    tensors |= {"input_ids": ids, "labels": labels, "logits": logits, "loss": loss, "inv_freq": rope.inv_freq} | more
    save(name, says, tensors, {"config": config, "rope_attention_factor": float(rope.attention_scaling), **(about or {})})
    return tensors


def models():
    model("llama", "Llama, head untied, grouped queries, a head width of its own", "llama", seed=1)
    model("llama_tied", "Llama, the head is the embedding", "llama", seed=2, tied=True)
    model("qwen3", "Qwen3: RMSNorm on each head's queries and keys, head untied", "qwen3", seed=3)
    model("qwen3_tied", "Qwen3, the head is the embedding", "qwen3", seed=4, tied=True)
    tensors = model("llama_yarn", "YaRN with the default betas, 32 and 1", "llama", seed=5, rows=1, length=64, tied=True,
                    theta=YARN_THETA, scaling=YARN)
    bands(tensors["inv_freq"], YARN_THETA, YARN["factor"])
    tensors = model("qwen3_yarn", "YaRN with betas of its own", "qwen3", seed=6, rows=1, length=64, tied=True, theta=YARN_THETA,
                    scaling=YARN | {"beta_fast": 2.0, "beta_slow": 0.5})
    bands(tensors["inv_freq"], YARN_THETA, YARN["factor"])
    model("llama_linear", "positions divided by 4", "llama", seed=7, rows=1, length=48, tied=True,
          scaling={"rope_type": "linear", "factor": 4.0})
    d, factor = SHAPE["head_dim"], 4.0
    model("llama_ntk", "NTK: theta * factor^(d / (d - 2)), already done in `config`; `ntk` has both numbers", "llama",
          seed=8, rows=1, length=48, tied=True, theta=THETA * factor ** (d / (d - 2)),
          about={"ntk": {"rope_theta": THETA, "factor": factor}})
    tensors = model("llama_llama3", "the scaling of Llama 3.1, with numbers of its own", "llama", seed=11, rows=1, length=64, tied=True,
                    theta=YARN_THETA, scaling=LLAMA3)
    bands(tensors["inv_freq"], YARN_THETA, LLAMA3["factor"])
    model("packed", "three documents in a row: attention stays within each, positions begin anew", "llama", seed=9,
          rows=1, length=40, tied=True, documents=[17, 9, 14])
    model("window", "a token sees itself and the seven before it", "mistral", seed=10, rows=1, length=40, tied=True, window=8)


def bands(frequencies, theta, factor):
    """A frequency is kept, divided by the factor, or between; all three must occur."""
    d = SHAPE["head_dim"]
    share = frequencies * theta ** (torch.arange(0, d, 2) / d)
    kept, stretched = (share - 1).abs() < 1e-6, (share - 1 / factor).abs() < 1e-6
    assert kept.any() and stretched.any() and (~kept & ~stretched).any(), share


def given_gradients(seed, **shapes):
    """Parameters and three gradients of each."""
    chance = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(shape, generator=chance) for name, shape in shapes.items()}
    return start, [{name: torch.randn(shape, generator=chance) for name, shape in shapes.items()} for _ in range(3)]


def three_steps(prefix, make, seed, **shapes):
    """What an optimizer does with given gradients."""
    start, gradients = given_gradients(seed, **shapes)
    tensors, parameters = {}, {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    optimizer = make(list(parameters.values()))
    for name, value in start.items():
        tensors[f"{prefix}.{name}.0"] = value
    for step, gradient in enumerate(gradients, 1):
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
            tensors[f"{prefix}.{name}.grad.{step}"] = gradient[name]
        optimizer.step()
        for name, parameter in parameters.items():
            tensors[f"{prefix}.{name}.{step}"] = parameter.data.clone()
    return tensors


def optim():
    shapes = {"matrix": (5, 7), "vector": (6,)}
    adamw = {"lr": 0.01, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}
    sgd = {"lr": 0.05, "momentum": 0.9}
    tensors = three_steps("adamw", lambda p: torch.optim.AdamW(p, **adamw | {"betas": (0.9, 0.95)}, foreach=False), 21, **shapes)
    tensors |= three_steps("sgd", lambda p: torch.optim.SGD(p, **sgd, foreach=False), 22, **shapes)
    for name, limit in {"over": 1.0, "under": 100.0}.items():
        _, (gradient, *_) = given_gradients(23, **shapes)
        parameters = [torch.nn.Parameter(torch.zeros_like(value)) for value in gradient.values()]
        for parameter, value in zip(parameters, gradient.values()):
            parameter.grad = value.clone()
        tensors[f"clip.{name}.norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=False)
        for parameter, (which, value) in zip(parameters, gradient.items()):
            tensors[f"clip.{name}.{which}.grad"] = value
            tensors[f"clip.{name}.{which}.clipped"] = parameter.grad
    save("optim", "AdamW, SGD with momentum, clipping by the global norm, from PyTorch", tensors,
         {"adamw": adamw, "sgd": sgd, "clip": {"over": 1.0, "under": 100.0}})


def newton_schulz(matrix, steps=5):
    """The quintic iteration that brings singular values near one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and a step as large as AdamW's."""

    def __init__(self, parameters, lr, momentum, weight_decay):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(p.grad)
                update = newton_schulz(p.grad + group["momentum"] * m)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * 0.2 * math.sqrt(max(p.shape)) * update)


def muon():
    shapes = {"wide": (6, 20), "tall": (24, 8), "square": (12, 12)}
    given = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    tensors = three_steps("muon", lambda p: Muon(p, **given), 31, **shapes)
    theirs = three_steps("muon", lambda p: torch.optim.Muon(p, **given, adjust_lr_fn="match_rms_adamw"), 31, **shapes)
    for name, ours in tensors.items():
        # They iterate in bfloat16: near, not equal. The step itself is 0.05 to 0.3 of its matrix.
        torch.testing.assert_close(ours, theirs[name], atol=2e-3, rtol=0)
    matrices, _ = given_gradients(32, **shapes)
    for name, matrix in matrices.items():
        tensors |= {f"newton_schulz.{name}.in": matrix, f"newton_schulz.{name}.out": newton_schulz(matrix)}
    save("muon", "Newton-Schulz, and Muon: written out in make.py, near PyTorch's own", tensors,
         {"muon": given, "update_scale": "0.2 * sqrt(max(rows, columns))",
          "newton_schulz": {"coefficients": [3.4445, -4.7750, 2.0315], "steps": 5, "eps": 1e-7}})


def readme():
    """Says what each file holds."""
    lines = [HEAD.format(**ABOUT)]
    lines += ["| file | holds |", "|---|---|", *(f"| `{name}` | {says} |" for name, (says, _, _) in written.items()), ""]
    lines += [MODELS, *table(written["llama"][2]), ""]
    lines += ["Where a file differs from `llama`:", "", "| file | |", "|---|---|"]
    for name, (_, about, tensors) in written.items():
        if "config" in about and name != "llama":
            lines.append(f"| `{name}` | {'; '.join(differs(about['config'], tensors))} |")
    for name in ("optim", "muon"):
        _, about, tensors = written[name]
        lines += ["", f"## {name}", "", OPTIMIZERS[name], "", "```json", json.dumps(about), "```", "", *table(tensors)]
    (HERE / "README.md").write_text("\n".join(lines) + "\n")


def differs(config, tensors):
    """What of a model's file is not as in `llama`."""
    first_config, first = written["llama"][1]["config"], written["llama"][2]
    for key, value in config.items():
        if value != first_config.get(key):
            yield f"`{key}` {json.dumps(value)}"
    missing = [name for name in first if name not in tensors and not name.startswith("grad.")]
    if missing:
        yield f"no `{'`, `'.join(missing)}`"
    rows, length = tensors["input_ids"].shape
    if (rows, length) != tuple(first["input_ids"].shape):
        yield f"{rows} × {length} tokens"
    for name, tensor in tensors.items():
        if name not in first and not name.startswith("grad.") and ".layers.1." not in name:
            yield f"`{name.replace('.layers.0.', '.layers.N.')}` {shape(tensor)}"


def table(tensors):
    """Names and shapes, with the layers and steps of a kind in one line."""
    yield from ("| tensor | shape |", "|---|---|")
    for name, tensor in tensors.items():
        if ".layers.1." not in name and not name.endswith((".2", ".3")):
            named = re.sub(r"\.1$", ".S", name.replace(".layers.0.", ".layers.N."))
            yield f"| `{named}` | {shape(tensor)} |"


def shape(tensor):
    """Type and shape as people read it."""
    kind = {torch.float32: "f32", torch.int64: "i64"}[tensor.dtype]
    return f"{kind} [{', '.join(map(str, tensor.shape))}]"


HEAD = """\
# Golden files

Written by `make.py`, this page too: edit that, not this. Made with torch {torch}, transformers {transformers} and
safetensors {safetensors}, on a CPU, in float32. The metadata of each file has one entry, `golden`, a JSON object with what the file was made with.
"""
MODELS = """\
## Models

`golden.config` is the configuration as `config.json` of Hugging Face writes it (`rope_theta`, `rope_scaling`), and
`golden.rope_attention_factor` what cosines and sines are multiplied by. Weights have Hugging Face's names, linear layers
`[out, in]`, and `grad.NAME` is the gradient of the loss. `labels` are the next tokens already, with -100 where there is no loss;
`loss` is the mean of the cross-entropy over the others. `inv_freq` are the frequencies of the rotation, half of a head's width.
N is 0 and 1.
"""
OPTIMIZERS = {
    "optim": """\
`KIND.NAME.0` is a parameter before the first step, `KIND.NAME.grad.S` the gradient of step S, `KIND.NAME.S` the parameter
after it; there are three. Weight decay of AdamW acts on all. `clip.over` is above its limit, `clip.under` below: `norm` is the
global norm before.""",
    "muon": """\
As in `optim`: m = momentum * m + g; update = newton_schulz(g + momentum * m); p = p * (1 - lr * weight_decay) - lr *
update_scale * update. `newton_schulz.NAME.in` and `.out` is the iteration alone, in float32: divided by (Frobenius norm + 1e-7),
transposed where there are more rows than columns.""",
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    models()
    optim()
    muon()
    readme()
    sizes = {name: (HERE / f"{name}.safetensors").stat().st_size for name in written}
    print(*(f"{size:8} {name}" for name, size in sizes.items()), f"{sum(sizes.values()):8} in all", sep="\n")
