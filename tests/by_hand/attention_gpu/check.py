"""Attention on a GPU: its kernels alone against f64, and their time beside PyTorch's SDPA: python3 tests/by_hand/attention_gpu/check.py

Needs torch and NVRTC. `any` or `hopper` chooses a way, `all` prints every case, `still` times nothing. 45 seconds.
"""
import ctypes, math, sys, time, statistics
from concurrent.futures import ThreadPoolExecutor
import torch, torch.nn.functional as F
from torch.nn.attention import sdpa_kernel, SDPBackend
import kernels as build
from kernels import launch_of, section_of, sizes

T0 = time.time()
torch.manual_seed(int(T0) % 100000)
DEV = "cuda"
torch.zeros(1, device=DEV)
CAP = torch.cuda.get_device_capability()
ARCH = "sm_90a" if CAP == (9, 0) else f"sm_{CAP[0]}{CAP[1]}"
cuda = ctypes.CDLL("libcuda.so.1")
def ok(rc, what=""):
    if rc: raise RuntimeError(f"{what}: CUDA error {rc}")

FUNCTIONS, CODES = {}, {}
def key_of(kernel, d, way): return kernel, way, tuple(sorted(d.items()))
def prepare(wanted):
    wanted = {key_of(*w): w for w in wanted if key_of(*w) not in CODES}
    with ThreadPoolExecutor(16) as pool:
        for key, code in zip(wanted, pool.map(lambda w: build.compile(*w, ARCH), wanted.values())): CODES[key] = code
def function(kernel, d, way):
    key = key_of(kernel, d, way)
    if key in FUNCTIONS: return FUNCTIONS[key]
    if key not in CODES: CODES[key] = build.compile(kernel, d, way, ARCH)
    module, f = ctypes.c_void_p(), ctypes.c_void_p()
    ok(cuda.cuModuleLoadData(ctypes.byref(module), CODES[key]), "load")
    ok(cuda.cuModuleGetFunction(ctypes.byref(f), module, kernel.encode()), "get")
    FUNCTIONS[key] = f
    return f

class Params(ctypes.Structure):
    _fields_ = [("batch", ctypes.c_int), ("tokens", ctypes.c_int), ("heads", ctypes.c_int), ("section", ctypes.c_int), ("scale", ctypes.c_float), ("row", ctypes.c_int)]

def launch(f, grid, block, shared, tensors, params):
    ok(cuda.cuFuncSetAttribute(f, 8, shared), "shared memory")
    args = [ctypes.c_void_p(t.data_ptr()) for t in tensors] + [params]
    array = (ctypes.c_void_p * len(args))(*[ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in args])
    ok(cuda.cuLaunchKernel(f, grid, 1, 1, block, 1, 1, shared, ctypes.c_void_p(torch.cuda.current_stream().cuda_stream), array, None), "launch")

class Guarded:
    """A tensor in the middle of NaN: what reads beyond it gets NaN, and what writes beyond it is seen."""
    def __init__(self, shape, dtype, like=None):
        n = math.prod(shape)
        fill = float("nan") if dtype.is_floating_point else 0x3fffffff
        self.all, self.n = torch.full((n + 512,), fill, dtype=dtype, device=DEV), n
        self.x = self.all[256:256 + n].view(shape)
        if like is not None: self.x.copy_(like)
        self.before = self.ends()
    def ends(self):
        bits = self.all.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[self.all.element_size()])
        return torch.cat([bits[:256], bits[256 + self.n:]]).clone()
    def intact(self): return bool(torch.equal(self.before, self.ends()))

def allocate(make, b, t, h, kv, d, step):
    bf, f32 = torch.bfloat16, torch.float32
    return dict(o=make((b, t, h, d), bf), lse=make((b, h, t), f32), peak=make((h,), f32), rows=make((b, h, t, 2), f32),
                bounds=make((b, -(-t // step), 2), torch.int32), dqkv=make((b, t, h + 2 * kv, d), bf))

def parts(x, h, kv):
    """Queries, keys and values, which lie side by side."""
    return x.split([h, kv, kv], 2)

class Job:
    def __init__(self, x, out, scale, way):
        self.scale, self.way = scale, way
        (self.b, self.t, self.h, self.d), self.kv = x["g"].shape, (x["qkv"].shape[2] - x["g"].shape[2]) // 2
        self.x = dict(x, **dict(zip("qkv", parts(x["qkv"], self.h, self.kv))))
        self.out = dict(out, **dict(zip(("dq", "dk", "dv"), parts(out["dqkv"], self.h, self.kv))))
    def call(self, kernel, names):
        d, way = sizes(kernel, self.d, self.way)
        d["GROUP"] = self.h // self.kv
        section = section_of(self.t, self.d, self.b * (self.kv if kernel == "attend_back_key" else self.h))
        launch(function(kernel, d, way), *launch_of(kernel, d, way, self.b, self.t, self.h), [self.x.get(n, self.out.get(n)) for n in names.split()],
               Params(self.b, self.t, self.h, section, self.scale, (self.h + 2 * self.kv) * self.d))
    def attend(self):
        self.out["peak"].fill_(float("-inf"))
        self.call("attend", "q k v starts o lse peak")
    def rows(self): self.call("attend_back_rows", "o g lse starts rows bounds")
    def back_query(self): self.call("attend_back_query", "q k v g starts rows dq")
    def back_key(self): self.call("attend_back_key", "q k v g starts rows bounds dk dv")
    def back(self): self.rows(), self.back_query(), self.back_key()

def some_starts(kind, b, t):
    places = torch.arange(t, device=DEV).expand(b, t)
    if kind == "causal": s = torch.zeros(b, t, device=DEV, dtype=torch.long)
    elif kind == "documents":
        ends = torch.rand(b, t, device=DEV) < 8.0 / max(t, 8)
        s = torch.where(ends, places, torch.zeros_like(places)).cummax(1).values
    elif kind == "window": s = (places - 20).clamp(min=0)
    elif kind == "both":
        ends = torch.rand(b, t, device=DEV) < 4.0 / max(t, 8)
        s = torch.maximum(torch.where(ends, places, torch.zeros_like(places)).cummax(1).values, places - 70)
    else: s = (torch.rand(b, t, device=DEV) * (places + 1)).long().clamp(max=places)
    return s.int().contiguous()

def reference(q, k, v, g, starts, scale, dtype):
    """All in f64, or in bf16 by PyTorch's own operation."""
    b, t, h, d = q.shape
    q, k, v = (x.detach().to(dtype).transpose(1, 2).requires_grad_() for x in (q, k, v))
    group = h // k.shape[1]
    kk, vv = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    places = torch.arange(t, device=DEV)
    seen = ((places >= starts[..., None]) & (places <= places[:, None]))[:, None]
    lse = peak = None
    if dtype == torch.float64:
        logits = (q @ kk.transpose(2, 3) * scale).masked_fill(~seen, float("-inf"))
        lse, peak = torch.logsumexp(logits, 3), logits.amax((0, 2, 3))
        o = torch.softmax(logits, 3) @ vv
    else:
        o = F.scaled_dot_product_attention(q, kk, vv, attn_mask=seen, scale=scale)
    grads = torch.autograd.grad(o, (q, k, v), g.to(dtype).transpose(1, 2))
    return [x.detach() for x in (o.transpose(1, 2), *[x.transpose(1, 2) for x in grads])] + ([lse.detach(), peak.detach()] if lse is not None else [])

def error(x, y):
    e = ((x.double() - y.double()).norm() / y.double().norm().clamp(min=1e-30)).item()
    return e if e == e else float("inf")

def fresh(b, t, h, kv, d, kind, make=None, spread=1.0):
    r = lambda *s: (torch.randn(*s, device=DEV) * spread).bfloat16()
    return dict(qkv=r(b, t, h + 2 * kv, d), g=torch.randn(b, t, h, d, device=DEV).bfloat16(), starts=some_starts(kind, b, t))

def check(cases, way):
    print(f"\n{way}: relative errors, and in brackets those of SDPA in bf16")
    worst, bad = {}, 0
    for b, t, kv, group, d, kind in cases:
        h, scale = kv * group, 1 / math.sqrt(d)
        x = fresh(b, t, h, kv, d, kind, spread=1.5)
        guards = {n: Guarded(tuple(y.shape), y.dtype, y) for n, y in x.items()}
        step = sizes("attend_back_rows", d, way)[0]["STEP"]
        outs = allocate(lambda s, y: Guarded(s, y), b, t, h, kv, d, step)
        again = allocate(lambda s, y: Guarded(s, y), b, t, h, kv, d, step)
        for o in (outs, again):
            job = Job({n: g.x for n, g in guards.items()}, {n: g.x for n, g in o.items()}, scale, way)
            job.attend(), job.back()
        torch.cuda.synchronize()
        truth, theirs = (reference(*parts(x["qkv"], h, kv), x["g"], x["starts"], scale, dtype) for dtype in (torch.float64, torch.bfloat16))
        names = ["o", "dq", "dk", "dv"]
        got = dict(zip(names, [outs["o"].x, *parts(outs["dqkv"].x, h, kv)]))
        errors = {n: (error(got[n], y), error(z, y)) for n, y, z in zip(names, truth, theirs)}
        lse, peak = (outs["lse"].x.double() - truth[4]).abs().max().item(), (outs["peak"].x.double() - truth[5]).abs().max().item()
        same = all(torch.equal(outs[n].x.view(torch.int16 if outs[n].x.element_size() == 2 else torch.int32), again[n].x.view(torch.int16 if outs[n].x.element_size() == 2 else torch.int32)) for n in outs)
        intact = all(g.intact() for o in (outs, again, guards) for g in o.values())
        # With one token alone gradients of queries and keys are zero, so only their size counts.
        fine = lambda n: errors[n][0] < max(8e-3, 1.5 * errors[n][1]) or (t <= 2 and got[n].double().norm() < 0.1)
        good = same and intact and all(fine(n) for n in names) and lse < 2e-4 and peak < 2e-4
        bad += not good
        for n in names:
            if t > 2: worst[n] = max(worst.get(n, (0, 0)), errors[n])
        worst["lse"], worst["peak"] = max(worst.get("lse", 0), lse), max(worst.get("peak", 0), peak)
        if not good or "all" in sys.argv:
            print(f"{'ok ' if good else 'BAD'} b{b} t{t} kv{kv}x{group} d{d} {kind:9} " + " ".join(f"{n} {errors[n][0]:.1e} ({errors[n][1]:.1e})" for n in names) + f" lse {lse:.0e} peak {peak:.0e} same {same} intact {intact}")
    print(f"{len(cases)} cases, {bad} bad; worst: " + " ".join(f"{n} {worst[n][0]:.1e} ({worst[n][1]:.1e})" for n in ["o", "dq", "dk", "dv"]) + f" lse {worst['lse']:.0e} peak {worst['peak']:.0e}; {time.time() - T0:.0f} s", flush=True)

def median(f, times=11, warm=2):
    for _ in range(warm): f()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(times)]
    for a, b in events: a.record(), f(), b.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in events)

SHAPES = [(32, 1024, 12, 12, 64), (8, 4096, 12, 12, 64), (2, 16384, 12, 12, 64), (16, 2048, 16, 8, 128)]

def sdpa_times(x, scale):
    h = x["g"].shape[2]
    each = parts(x["qkv"], h, (x["qkv"].shape[2] - h) // 2)
    q, k, v = (y.detach().contiguous().transpose(1, 2).requires_grad_() for y in each)
    g, gqa = x["g"].transpose(1, 2), q.shape[1] != k.shape[1]
    found = {}
    for name, backend in (("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION)):
        try:
            with sdpa_kernel(backend):
                run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=gqa)
                forward = median(run)
                found[name] = (forward, median(lambda: torch.autograd.grad(run(), (q, k, v), g)))
        except Exception as e: found[name] = (float("nan"), float("nan")); print(name, str(e)[:200])
    return found

def flops(b, t, h, d): return 2 * b * h * t * t * d * 3.5

def time_all(ways):
    table = []
    for b, t, h, kv, d in SHAPES:
        x, scale, theirs = fresh(b, t, h, kv, d, "causal"), 1 / math.sqrt(d), {}
        for way in ways:
            out = allocate(lambda s, y: torch.full(s, float("nan") if y.is_floating_point else 0, dtype=y, device=DEV), b, t, h, kv, d, sizes("attend_back_rows", d, way)[0]["STEP"])
            job = Job(x, out, scale, way)
            forward, both = median(job.attend), median(lambda: (job.attend(), job.back()))
            steps = [job.attend, job.rows, job.back_query, job.back_key]
            theirs[way] = forward, both, [median(step) for step in steps[1:]]
            del out, job
        theirs.update(sdpa_times(x, scale))
        table.append((f"{b}x{t} {h}/{kv}x{d}", theirs, flops(b, t, h, d)))
        del x
    print("\nms: forward | forward and backward (TFLOP/s) | rows, query, key alone")
    for name, found, work in table:
        for who, (forward, both, *parts) in found.items():
            print(f"{name:18} {who:8} {forward:.3f} | {both:.3f} ({work / both / 1e9:.0f})" + (" | " + " ".join(f"{p:.3f}" for p in parts[0]) if parts else ""))

def cases():
    found = []
    for t in (1, 17, 63, 65, 129, 200): found += [(2, t, 2, 1, 64, kind) for kind in ("causal", "documents", "window", "any")]
    for d, kv, group in ((16, 2, 1), (48, 1, 3), (64, 2, 4), (80, 1, 4), (128, 2, 1), (128, 1, 3), (256, 1, 1), (208, 1, 3)):
        found += [(2, t, kv, group, d, kind) for t, kind in ((1, "causal"), (63, "any"), (129, "both"), (200, "documents"), (513, "window"), (700, "causal"))]
    return found

if __name__ == "__main__":
    ways = [w for w in ("any", "hopper") if w in sys.argv] or (["any", "hopper"] if CAP == (9, 0) else ["any"])
    wanted = []
    for way in ways:
        for d, group in {(c[4], c[3]) for c in cases()} | {(s[4], s[2] // s[3]) for s in SHAPES}:
            for kernel in build.KERNELS:
                found, taken = sizes(kernel, d, way)
                wanted.append((kernel, dict(found, GROUP=group), taken))
    prepare(wanted)
    print(f"{len(CODES)} compiled for {ARCH}, {time.time() - T0:.0f} s", flush=True)
    for way in ways: check([c for c in cases() if way == "any" or c[4] in (64, 128)], way)
    if "still" not in sys.argv: time_all(ways)
    print(f"{time.time() - T0:.0f} s")
