"""CUDA C++ to machine code by NVRTC, for scripts that try kernels alone. `NVRTC` names the library where it is not found."""
import ctypes
import functools
import glob
import os


@functools.cache
def library():
    names = [os.environ.get("NVRTC", "")] + [f"libnvrtc.so.{version}" for version in (13, 12)] + glob.glob("/usr/local/cuda/lib64/libnvrtc.so*")
    for name in filter(None, names):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise SystemExit("NVRTC is not found: name it in NVRTC")


def compiled(text, options, what):
    """The machine code of a source; `what` says in an error which one it is."""
    lib, program, size = library(), ctypes.c_void_p(), ctypes.c_size_t()

    def read(kind):
        getattr(lib, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(lib, f"nvrtcGet{kind}")(program, buffer)
        return buffer.raw

    assert lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    words = [option.encode() for option in options]
    failed = lib.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
    log = read("ProgramLog").rstrip(b"\0").decode().strip()
    if failed:
        raise RuntimeError(f"{what}\n{log[:3000]}")
    if log:
        print(what, log[:600])
    code = read("CUBIN")
    lib.nvrtcDestroyProgram(ctypes.byref(program))
    return code
