#!/usr/bin/env python3
"""Measures what docs/benchmarks.md promises, muse beside its peers in one run, and prints a table.

    cargo build --release
    python3 tests/by_hand/bench.py                  # all rows: about 15 minutes and 12 GB of disk
    python3 tests/by_hand/bench.py --only noop,first
    python3 tests/by_hand/bench.py --json bench.json

Python's standard library is enough. ninja comes from PyPI into an environment of its own, b3sum from crates.io,
unless they are on the PATH; `--dvc` fetches DVC too. Everything stands in one folder (`--work`), which must be on
the disk that is to be measured. Each figure is a median of runs that take turns, because a machine's mood drifts.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Bench:
    def __init__(self, args):
        self.muse = Path(args.muse).resolve()
        self.work = Path(args.work).resolve()
        self.rounds = 3 if args.quick else args.rounds
        self.quick = args.quick
        self.dvc = args.dvc
        self.rows = []
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.work / "home"), "NO_COLOR": "1"}
        (self.work / "home").mkdir(parents=True, exist_ok=True)

    # --- running things -------------------------------------------------------------------------------------

    def once(self, words, cwd, codes=(0,), stdout=subprocess.DEVNULL):
        """Runs a program; seconds and peak memory in bytes."""
        errors = self.work / "stderr.txt"
        with open(errors, "wb") as stderr:
            began = time.perf_counter()
            child = subprocess.Popen([str(word) for word in words], cwd=cwd, env=self.environment,
                                     stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in codes:
            said = errors.read_text(errors="replace")[-2000:]
            sys.exit(f"{' '.join(map(str, words))} in {cwd} ended with {child.returncode}:\n{said}")
        return seconds, usage.ru_maxrss * 1024

    def turns(self, cwd, *commands, rounds=None, before=None):
        """Runs commands in turns; for each the median of seconds and the peak of memory."""
        times = [[] for _ in commands]
        peaks = [0] * len(commands)
        for _ in range(rounds or self.rounds):
            for at, (folder, words) in enumerate(commands):
                if before:
                    before()
                seconds, peak = self.once(words, folder or cwd)
                times[at].append(seconds)
                peaks[at] = max(peaks[at], peak)
        return [(statistics.median(each), peak) for each, peak in zip(times, peaks)]

    def row(self, name, measured, reach=None, holds=None, beside="", **figures):
        self.rows.append({"name": name, "measured": measured, "reach": reach, "holds": holds, "beside": beside,
                          "figures": figures})
        mark = {True: "  ok", False: "MISS", None: "    "}[holds]
        print(f"{mark}  {name:<58} {measured:>22}  reach: {reach or '-':<24} {beside}", flush=True)

    def project(self, name, yaml):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "pipelines").mkdir(parents=True)
        (folder / "pipelines" / "p.yaml").write_text(yaml)
        return folder

    def command(self, verb, *more):
        return [self.muse, verb, "pipelines/p.yaml", *more]

    # --- peers ----------------------------------------------------------------------------------------------

    def from_pypi(self, package, program):
        found = shutil.which(program)
        if found:
            return found
        venv = self.work / "venv"
        if not (venv / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        if not (venv / "bin" / program).exists():
            subprocess.run([venv / "bin" / "pip", "install", "-q", package], check=True)
        return str(venv / "bin" / program)

    def b3sum(self):
        found = shutil.which("b3sum")
        if found:
            return found
        place = self.work / "tools"
        if not (place / "bin" / "b3sum").exists():
            subprocess.run(["cargo", "install", "-q", "b3sum", "--root", place], check=True)
        return str(place / "bin" / "b3sum")

    # --- graphs ---------------------------------------------------------------------------------------------

    @staticmethod
    def layered(stages, files, width=100):
        """Stages in layers of `width`, each taking the one above it and `files` files of its own."""
        lines = ["muse: 1", "name: bench", "stages:"]
        for at in range(stages):
            lines += [f"  s{at}:", "    uses: command"]
            if at >= width:
                lines.append(f"    inputs: {{ up: s{at - width} }}")
            read = "cat in/files/* in/up" if files and at >= width else "cat in/files/*" if files else "echo"
            data = f", files: {{ files: '../data/{at}/*.txt' }}" if files else ""
            lines.append(f"    with: {{ run: '{read} | wc -c > out/n; echo {at} >> out/n', outputs: [n]{data} }}")
        return "\n".join(lines) + "\n"

    @staticmethod
    def scatter(folder, stages, files):
        for at in range(stages):
            place = folder / "data" / str(at)
            place.mkdir(parents=True, exist_ok=True)
            for number in range(files):
                (place / f"{number:06}.txt").write_text(f"{at} {number}\n")

    @staticmethod
    def ninja_file(folder, stages, files, width=100):
        lines = ["rule cat", "  command = cat $in | wc -c > $out"]
        for at in range(stages):
            names = " ".join(f"data/{at}/{number:06}.txt" for number in range(files))
            up = f" out/{at - width}" if at >= width else ""
            lines.append(f"build out/{at}: cat {names}{up}")
        (folder / "build.ninja").write_text("\n".join(lines) + "\n")

    # --- rows -----------------------------------------------------------------------------------------------

    def noop(self):
        """1,000 stages with 10 files each, nothing to do."""
        stages, files = 1000, 10
        folder = self.project("noop", self.layered(stages, files))
        self.scatter(folder, stages, files)
        self.ninja_file(folder, stages, files)
        ninja = self.from_pypi("ninja", "ninja")
        self.once([ninja], folder)
        seconds, _ = self.once(self.command("run", "--jobs", "2"), folder)
        self.once(self.command("run"), folder)
        self.row("first run of the same, 2 jobs, a stage", f"{seconds / stages * 1e3:.1f} ms")
        (run, _), (peer, _), (plan, _) = self.turns(
            folder, (None, self.command("run")), (None, [ninja]), (None, self.command("plan", "--json")), rounds=self.rounds * 3)
        self.row("no-op run: 1,000 stages, 10,000 files", f"{run * 1e3:.0f} ms", "50 ms", run <= 0.050, seconds=run)
        self.row("no-op run beside a no-op of ninja", f"{run / peer:.1f} times", "5 times", run <= 5 * peer,
                 f"ninja: {peer * 1e3:.1f} ms", ninja=peer)
        self.row("plan --json of the same", f"{plan * 1e3:.0f} ms", "100 ms", plan <= 0.100, seconds=plan)

    def files(self):
        """One stage with very many files: nothing to do, and one changed."""
        for count in (1000, 10_000, 100_000):
            yaml = ("muse: 1\nname: bench\nstages:\n  many:\n    uses: command\n"
                    "    with: { run: 'ls in/files | wc -l > out/n', files: { files: '../data/**/*.txt' }, outputs: [n] }\n")
            folder = self.project(f"files-{count}", yaml)
            self.scatter(folder, count // 100, 100)
            self.once(self.command("run"), folder)
            self.once(self.command("run"), folder)
            [(noop, peak)] = self.turns(folder, (None, self.command("run")))
            last = count == 100_000
            self.row(f"no-op run: one stage, {count:,} files", f"{noop * 1e3:.0f} ms", "500 ms" if last else None,
                     noop <= 0.5 if last else None, f"{noop / count * 1e6:.2f} us a file, {peak >> 20} MiB", seconds=noop)
            changed = folder / "data" / "7" / "000042.txt"
            changed.write_text("another text\n")
            said = subprocess.run([str(word) for word in self.command("plan", "-v")], cwd=folder, env=self.environment,
                                  capture_output=True, text=True, check=False)
            self.say_hashed(count, said.stdout + said.stderr)
            seconds, _ = self.once(self.command("plan"), folder)
            self.row("  then one changed: plan", f"{seconds * 1e3:.0f} ms", seconds=seconds)

    def say_hashed(self, count, text):
        lines = [line.strip() for line in text.splitlines() if "read again" in line]
        again = lines[0].rsplit(None, 1)[-1] if lines else "not said"
        self.row(f"  then one of {count:,} changed: files read again", again, "1", again == "1")

    def first(self):
        """1,000 trivial stages from nothing, beside what a process and an fsync cost."""
        stages = 200 if self.quick else 1000
        yaml = ("muse: 1\nname: bench\nstages:\n  s:\n    uses: command\n"
                "    with: { run: 'echo ${matrix.n} > out/n', outputs: [n] }\n"
                f"    matrix: {{ n: [{', '.join(map(str, range(stages)))}] }}\n")
        times = []
        for _ in range(1 if self.quick else 3):
            folder = self.project("first", yaml)
            times.append(self.once(self.command("run", "--jobs", "2"), folder)[0])
        each = statistics.median(times) / stages
        start = self.bare_start()
        sync = self.fsync()
        self.row("first run of 1,000 trivial stages, 2 jobs, a stage", f"{each * 1e3:.1f} ms", "15 ms", each <= 0.015,
                 f"exec-stage alone {start * 1e3:.1f} ms, one fsync {sync * 1e3:.2f} ms", seconds=each, start=start, fsync=sync)
        if self.dvc:
            self.dvc_repro()

    def bare_start(self):
        """`muse exec-stage` with a job that runs `true`, by itself."""
        folder = self.work / "bare"
        work = folder / "cwd"
        (work / "out").mkdir(parents=True, exist_ok=True)
        job = {"job": 1, "mode": "run", "kind": "command", "version": 1, "stage": "bare", "key": "b3:" + "0" * 64,
               "attempt": 1, "params": {"run": ["true"]}, "work": str(work), "inputs": {}, "outputs": {}, "threads": 1}
        (folder / "job.json").write_text(json.dumps(job))
        return self.turns(folder, (None, [self.muse, "exec-stage", "job.json"]), rounds=50)[0][0]

    def fsync(self):
        times = []
        for at in range(100):
            path = self.work / f"sync-{at}"
            with open(path, "wb") as file:
                file.write(b"some bytes")
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
            path.unlink()
        return statistics.median(times)

    def dvc_repro(self):
        stages = 50
        dvc = self.from_pypi("dvc", "dvc")
        folder = self.work / "dvc"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        lines = ["stages:"]
        for at in range(stages):
            lines += [f"  s{at}:", f"    cmd: echo {at} > out{at}", f"    outs: [out{at}]"]
        (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
        self.once([dvc, "init", "--no-scm", "-q"], folder)
        seconds, _ = self.once([dvc, "repro", "-q"], folder)
        self.row("the same of DVC, one job, a stage", f"{seconds / stages * 1e3:.0f} ms")

    def hashing(self):
        """A file of 4 GiB that lies in memory."""
        size = (1 if self.quick else 4) << 30
        yaml = ("muse: 1\nname: bench\nstages:\n  big:\n    uses: command\n"
                "    with: { run: 'echo done > out/n', files: { big: ../data/big }, outputs: [n] }\n"
                "  taken:\n    uses: command\n    with: { run: 'false', outputs: [n] }\n")
        folder = self.project("hashing", yaml)
        (folder / "data").mkdir()
        big = folder / "data" / "big"
        piece = os.urandom(1 << 20)
        with open(big, "wb") as file:
            for at in range(size >> 20):
                file.write(at.to_bytes(8, "little") + piece[8:])
        b3sum = self.b3sum()
        self.once(self.command("run", "big"), folder)
        self.once(["cat", big], folder)
        (run, _), (mapped, _), (plain, _) = self.turns(
            folder, (None, self.command("run", "big")), (None, [b3sum, big]), (None, [b3sum, "--no-mmap", big]),
            rounds=5, before=lambda: os.utime(big))
        best = min(mapped, plain)
        self.row(f"hashing {size >> 30} GiB, warm: a whole run that reads it again", f"{size / run / 1e9:.2f} GB/s", "80% of b3sum",
                 best / run >= 0.8, f"{best / run * 100:.0f}% of b3sum's {size / best / 1e9:.2f} GB/s", muse=run, b3sum=mapped, no_mmap=plain)
        seconds, _ = self.once([self.muse, "adopt", "pipelines/p.yaml", "taken", big], folder)
        self.row("adopting it: copied, hashed and on the disk", f"{size / seconds / 1e9:.2f} GB/s", seconds=seconds)
        shutil.rmtree(folder, ignore_errors=True)

    def planning(self):
        """10,000 stages: from nothing, and where all is there."""
        stages = 10_000
        folder = self.project("planning", self.layered(stages, 0))
        [(cold, peak)] = self.turns(folder, (None, self.command("plan", "--json")))
        self.row("planning 10,000 stages, nothing there", f"{cold:.2f} s, {peak >> 20} MiB", "1 s, 200 MiB",
                 cold <= 1 and peak <= 200 << 20, seconds=cold, peak=peak)
        if self.quick:
            return
        seconds, _ = self.once(self.command("run", "--jobs", "2"), folder)
        self.row("  first run of them, a stage", f"{seconds / stages * 1e3:.1f} ms", seconds=seconds)
        self.once(self.command("run"), folder)
        (warm, peak), (run, _) = self.turns(folder, (None, self.command("plan", "--json")), (None, self.command("run")))
        self.row("planning 10,000 stages, all there", f"{warm:.2f} s, {peak >> 20} MiB", "1 s, 200 MiB",
                 warm <= 1 and peak <= 200 << 20, seconds=warm, peak=peak)
        self.row("  no-op run of them", f"{run:.2f} s", seconds=run)

    def linear(self):
        """1k, 10k and 100k stages of a matrix. They share one key, so that one body makes all of them."""
        for count in (1000, 10_000, 100_000):
            axes = f"a: [{', '.join(map(str, range(count // 100)))}], b: [{', '.join(map(str, range(100)))}]"
            for kind, run in (("nothing there", "echo ${matrix.a} ${matrix.b} > out/n"), ("all there", "echo > out/n")):
                yaml = ("muse: 1\nname: bench\nstages:\n  s:\n    uses: command\n"
                        f"    with: {{ run: '{run}', outputs: [n] }}\n    matrix: {{ {axes} }}\n")
                folder = self.project(f"linear-{count}", yaml)
                commands = [(None, self.command("plan", "--json"))]
                if kind == "all there":
                    self.once(self.command("run"), folder)
                    commands.append((None, self.command("run")))
                results = self.turns(folder, *commands, rounds=3)
                for (seconds, peak), verb in zip(results, ("plan", "no-op run")):
                    self.row(f"{verb}, {count:,} stages of a matrix, {kind}", f"{seconds * 1e3:.0f} ms", None, None,
                             f"{seconds / count * 1e6:.1f} us a stage, {peak >> 20} MiB", seconds=seconds, peak=peak)


ROWS = ["noop", "files", "first", "hashing", "planning", "linear"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--muse", default=ROOT / "target/release/muse", help="the program to measure")
    parser.add_argument("--work", default=ROOT / "target/bench", help="where everything is made")
    parser.add_argument("--only", default=",".join(ROWS), help=f"which of {','.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is run")
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--dvc", action="store_true", help="measure DVC beside it")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller graphs, for a first look")
    args = parser.parse_args()
    if not Path(args.muse).exists():
        sys.exit(f"{args.muse} is not there: `cargo build --release` makes it")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    bench = Bench(args)
    for name in args.only.split(","):
        if name not in ROWS:
            sys.exit(f"there is no row {name}, but {', '.join(ROWS)}")
        getattr(bench, name)()
    if args.json:
        Path(args.json).write_text(json.dumps(bench.rows, indent=1) + "\n")
    sys.exit(1 if any(row["holds"] is False for row in bench.rows) else 0)


if __name__ == "__main__":
    main()
