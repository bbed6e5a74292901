#!/usr/bin/env python3
"""A step of a model in use as one kernel: how long it takes, and how long each kind of task. Needs a GPU from Hopper on, torch and NVRTC.

    python3 tests/by_hand/whole_step_gpu.py                      # 1.5B in bf16, one text
    python3 tests/by_hand/whole_step_gpu.py --set UNDER_WAY=4    # with another number in the kernel's source

Tasks are those of a Llama with weights of chance, as model/kernels/src/cuda/decode/whole.rs lists them; nothing is compared with anything.
"""
import argparse
import collections
import ctypes
import os
import re

import torch

from nvrtc import compiled

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../model/kernels/src/cuda/decode")
PARTS = "numbers rows product tiles near exact turn attention ring bring block hands whole_product whole_attention whole".split()
PRODUCT, LOOK_UP, ATTEND = range(3)
STORE, ADD, GATE = range(3)
LLAMA = dict(layers=28, width=2048, heads=16, kept=8, head=128, ffn=6144, vocabulary=32000)
CONTEXT, STEPS, WARPS, NEAR_BYTES, COUNTER, HANDS = 400, 30, 8, 128, 128, 3


class Given(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in "weight scales x norm out parts ready".split()] + \
        [(name, ctypes.c_int) for name in "rows width wide chunks stride way".split()] + [("epsilon", ctypes.c_float), ("first", ctypes.c_int)]


class Attention(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in "all slots places cosines sines query_norm key_norm queries keys values out parts ready".split()] + \
        [(name, ctypes.c_int) for name in "rows heads kept stride context window splits wide".split()] + [("epsilon", ctypes.c_float)]


class Either(ctypes.Union):
    _fields_ = [("product", Given), ("attention", Attention)]


class Task(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_uint32), ("of", Either)]


class Weights(ctypes.Structure):
    _fields_ = [("numbers", ctypes.c_uint64), ("scales", ctypes.c_uint64)] + [(name, ctypes.c_int) for name in "chunks tiles first".split()]


def ok(code, what):
    if code:
        raise SystemExit(f"{what}: CUDA error {code}")


class Step:
    """The tasks of a step of one text behind 192 tokens, and all memory that they are about."""

    def __init__(self, blocks):
        self.blocks, self.next, self.memory, self.tasks, self.weights, self.names, self.bytes = blocks, 0, [], [], [], [], 0
        m = argparse.Namespace(**LLAMA)
        queries, all_heads = m.heads * m.head, (m.heads + 2 * m.kept) * m.head
        embedding = self.weight(m.vocabulary, m.width)
        x, ones = self.some(m.width * 4), self.some(m.width * 4, 1.0)
        all_, out, gated, logits = self.some(all_heads * 4), self.some(queries * 2), self.some(m.ffn * 2), self.some(m.vocabulary * 4)
        zeros, place = self.some(64), self.some(4, 192)
        angles = self.some(CONTEXT * m.head * 2, 1.0)
        parts, ready = self.some(m.heads * 64 * (m.head + 2) * 4), self.some(1 << 14)
        self.desk = (max(m.ffn, queries, m.width) // 8 + 4) * 16
        # What a task reads: rows in bf16, or in f32 where a norm or attention comes.
        self.pieces = max(m.ffn * 2, queries * 2, m.width * 4, all_heads * 4) // 16
        self.product("look up", LOOK_UP, embedding, zeros, x, m.width, 0, m.width, STORE)
        for _ in range(m.layers):
            self.product("queries, keys, values", PRODUCT, self.weight(all_heads, m.width), x, all_, m.width, all_heads, all_heads, STORE, ones)
            cache = [self.some(CONTEXT * m.kept * m.head * 2) for _ in range(2)]
            given = Attention(all_, zeros, place, angles, angles, 0, 0, 0, *cache, out, parts, ready, 1, m.heads, m.kept, all_heads, CONTEXT, 0, 1, queries, 1e-5)
            self.weights.append(Weights(0, 0, 0, 0, len(self.tasks)))
            self.add("attend", Task(ATTEND, Either(attention=given)))
            self.product("output", PRODUCT, self.weight(m.width, queries), out, x, queries, m.width, m.width, ADD)
            self.product("gate and up", PRODUCT, self.weight(2 * m.ffn, m.width), x, gated, m.width, 2 * m.ffn, m.ffn, GATE, ones)
            self.product("down", PRODUCT, self.weight(m.width, m.ffn), gated, x, m.ffn, m.width, m.width, ADD)
        self.product("head", PRODUCT, embedding, x, logits, m.width, m.vocabulary, m.vocabulary, STORE, ones)
        self.bytes += m.vocabulary * m.width * 2

    def some(self, size, value=0):
        kind = torch.float32 if isinstance(value, float) else torch.int32
        self.memory.append(torch.full((-(-size // 4),), value, dtype=kind, device="cuda"))
        return self.memory[-1].data_ptr()

    def weight(self, rows, width):
        # Small numbers of either sign, whatever their bits are read as.
        self.memory.append(torch.randn(-(-rows // 16) * 16 * width, device="cuda", dtype=torch.bfloat16).mul_(0.02))
        return self.memory[-1].data_ptr()

    def add(self, name, task):
        self.names.append(name)
        self.tasks.append(task)

    def product(self, name, kind, weight, x, out, width, wide, stride, way, norm=0):
        given = Given(weight, 0, x, norm, out, 0, 0, 1, width, wide, width // 32, stride, way, 1e-5, self.next)
        self.add(name, Task(kind, Either(product=given)))
        if kind == PRODUCT:
            tiles = -(-wide // 16)
            self.weights.append(Weights(weight, 0, width // 32, tiles, self.next))
            self.next = (self.next + tiles) % self.blocks
            self.bytes += wide * width * 2 if name != "head" else 0


def on_gpu(all_):
    raw = bytearray(b"".join(bytes(one) for one in all_))
    return torch.frombuffer(raw, dtype=torch.uint8).cuda()


def kernel(cuda, changes, shared, log):
    """The kernel as it is, or with the times of each block at each task written down."""
    group = LLAMA["heads"] // LLAMA["kept"]
    rust = open(os.path.join(SOURCE, "matrix.rs")).read()
    near = eval(re.search(r"NEAR: usize = (.*);", rust)[1])
    known = dict(KEPT=1, HEAD=LLAMA["head"], GROUP=group, CHUNK=32, TILE=16, NEAR=near, APART=4, SHARE=8, TOGETHER=min(4, group), SHARED=shared, COUNTER=COUNTER, HANDS=HANDS)
    text = "".join(open(os.path.join(SOURCE, "source", part + ".cu")).read() for part in PARTS)
    for name, value in changes:
        text, count = re.subn(rf"#define {name} .*", f"#define {name} {value}", text)
        assert count == 1, f"there is no {name}"
    if log:
        begin, at = "        const Task &task = block.tasks[at % TASKS], &next = block.tasks[(at + 1) % TASKS];\n", "int brought, int desk, int pieces) {"
        assert begin in text and at in text
        time = 'u64 t; asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)); if (threadIdx.x == 0) times[at * gridDim.x + blockIdx.x] = t;\n'
        text = text.replace(at, at.replace(")", ", u64* times)")).replace(begin, begin + time)
    capability = "".join(map(str, torch.cuda.get_device_capability()))
    code = compiled("".join(f"#define {name} {value}\n" for name, value in known.items()) + text, [f"--gpu-architecture=sm_{capability}", "--std=c++17"], "whole_step")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    ok(cuda.cuModuleLoadData(ctypes.byref(module), code), "load")
    ok(cuda.cuModuleGetFunction(ctypes.byref(function), module, b"whole_step"), "get")
    ok(cuda.cuFuncSetAttribute(function, 8, shared), "shared memory")
    return function


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a number that the source defines")
    changes = [change.split("=") for change in parser.parse_args().set]
    torch.zeros(1, device="cuda")
    cuda, device = ctypes.CDLL("libcuda.so.1"), torch.cuda.get_device_properties(0)
    shared, blocks = device.shared_memory_per_block_optin, device.multi_processor_count
    step = Step(blocks)
    tasks, weights, met = on_gpu(step.tasks), on_gpu(step.weights), torch.zeros(COUNTER + HANDS * 16 * step.pieces, dtype=torch.uint8, device="cuda")
    times = torch.zeros(len(step.tasks), blocks, dtype=torch.int64, device="cuda")
    given = [ctypes.c_void_p(one.data_ptr()) for one in (tasks, weights, met)]
    given += [ctypes.c_int(number) for number in (len(step.tasks), len(step.weights), -(-max(step.desk, 1 << 14) // NEAR_BYTES) * NEAR_BYTES, step.pieces)]
    given.append(ctypes.c_void_p(times.data_ptr()))
    words = (ctypes.c_void_p * len(given))(*(ctypes.cast(ctypes.pointer(one), ctypes.c_void_p) for one in given))
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    for log in (False, True):
        function = kernel(cuda, changes, shared, log)
        events = [torch.cuda.Event(enable_timing=True) for _ in range(STEPS + 1)]
        for event in events:
            event.record()
            ok(cuda.cuLaunchCooperativeKernel(function, blocks, 1, 1, 32 * (WARPS + 2), 1, 1, shared, stream, words), "start")
        torch.cuda.synchronize()
        took = sorted(one.elapsed_time(other) for one, other in zip(events[3:], events[4:]))[(STEPS - 3) // 2]
        if not log:
            print(f"{took * 1e3:.0f} us a step, {step.bytes / 1e9:.2f} GB, {step.bytes / took / 1e9:.2f} TB/s")
    begins, spans = times.min(dim=1).values.tolist(), collections.defaultdict(list)
    for name, begin, end in zip(step.names, begins, begins[1:]):
        spans[name].append(end - begin)
    for name, all_ in spans.items():
        print(f"  {name:22} {sum(all_) / len(all_):8.0f} ns, {len(all_)} times")


main()
