"""Which sizes each kernel of attention is compiled with, how it is launched and compiled: as model/kernels/src/cuda/train/attention.rs says."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from nvrtc import compiled
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
SOURCE = os.path.join(ROOT, "model/kernels/src/cuda/train/source/attention")
KERNELS = {"attend": "attend.cu", "attend_back_rows": "back_rows.cu", "attend_back_query": "back_query.cu", "attend_back_key": "back_key.cu"}

def sources(kernel, way):
    """The files that make a kernel's source, one behind the other."""
    if way == "any" or kernel == "attend_back_rows": return ["common.cu", KERNELS[kernel]]
    return ["common.cu", "hopper.cu", "hopper_" + KERNELS[kernel]]

def sizes(kernel, head, way):
    """Defines but GROUP, and the way that is really taken: "any" (8.0 and more) or "hopper" (9.0)."""
    if head not in (64, 128): way = "any"
    if kernel == "attend_back_rows":
        return dict(HEAD=head, STEP=sizes("attend_back_key", head, way)[0]["STEP"]), "any"
    if way == "hopper":
        found = {("attend", 64): dict(KEYS=64, KEEP=0, BLOCKS=4), ("attend", 128): dict(KEYS=64, KEEP=0, BLOCKS=2),
                 ("attend_back_query", 64): dict(KEYS=64, KEEP=0, BLOCKS=3), ("attend_back_query", 128): dict(KEYS=64, KEEP=0, BLOCKS=2),
                 ("attend_back_key", 64): dict(STEP=64, BLOCKS=3), ("attend_back_key", 128): dict(STEP=64, BLOCKS=2)}[kernel, head]
    else:
        at = 0 if head <= 64 else 1 if head <= 128 else 2 if head <= 240 else 3
        warps, bands, step, keep, blocks, turns = {
            "attend": [(4, 2, 64, 1, 2, 0), (4, 2, 32, 0, 2, 0), (4, 1, 32, 0, 1, 0), (4, 1, 16, 0, 1, 0)],
            "attend_back_query": [(4, 2, 32, 1, 2, 2), (4, 1, 32, 1, 2, 2), (4, 1, 16, 0, 1, 1), (4, 1, 16, 0, 1, 1)],
            "attend_back_key": [(4, 2, 32, 0, 2, 2), (4, 1, 32, 0, 2, 2), (4, 1, 16, 0, 1, 1), (4, 1, 16, 0, 1, 1)]}[kernel][at]
        found = dict(WARPS=warps, BANDS=bands, KEEP=keep, BLOCKS=blocks, **({"STEP": step} if kernel == "attend_back_key" else {"KEYS": step}))
        if turns: found["TURNS"] = turns
        if kernel == "attend_back_key":
            slices = (head + 127) // 128
            found["SLICE"] = (head // 16 + slices - 1) // slices * 16
    return dict(HEAD=head, **found), way

def launch_of(kernel, d, way, batch, tokens, heads):
    """Grid, block and dynamic shared memory; d are all defines."""
    head, row = d["HEAD"], d["HEAD"] * 2
    up = lambda a, b: -(-a // b)
    if kernel == "attend_back_rows": return batch * up(tokens, d["STEP"]), 256, 0
    of = batch * (heads // d["GROUP"] if kernel == "attend_back_key" else heads)
    if way == "any":
        rows, wide = d["WARPS"] * d["BANDS"] * 16, row + 16
        grid, block = of * up(tokens, rows), d["WARPS"] * 32
        if kernel == "attend": return grid, block, (rows + 4 * d["KEYS"]) * wide
        if kernel == "attend_back_query": return grid, block, (2 * rows + 2 * d["TURNS"] * d["KEYS"]) * wide
        return grid * up(head, d["SLICE"]), block, 2 * rows * wide + d["TURNS"] * (2 * d["STEP"] * wide + d["STEP"] * 12 + 16)
    grid, block = of * up(tokens, 64), 128
    if kernel == "attend": return grid, block, (64 + 4 * d["KEYS"]) * row
    if kernel == "attend_back_query": return grid, block, (128 + 5 * d["KEYS"]) * row
    return grid, block, 128 * row + 2 * (2 * d["STEP"] * row + d["STEP"] * 12 + 16)

def section_of(tokens, head, of):
    """How many heads (of queries; of keys in attend_back_key), of all of the batch, are gone through at once: 16 MB of keys and values."""
    return max(1, min(of, (16 << 20) // (tokens * head * 4)))

def compile(kernel, defines, way, arch):
    text = "".join(open(os.path.join(SOURCE, name)).read() for name in sources(kernel, way))
    options = [f"--gpu-architecture={arch}"] + [f"-D{k}={v}" for k, v in defines.items()]
    return compiled(text, options, f"{kernel} {defines} {arch}")
