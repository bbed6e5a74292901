"""What the scripts that run muse share: a run's figures as they are told, which may be stopped, and a step as `muse bench` measures it."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

# layers, width, heads, SwiGLU, vocabulary, tokens, sequences, steps
MODELS = {
    "134m-8": [12, 768, 12, 2048, 32000, 1024, 8, 40],
    "134m-32": [12, 768, 12, 2048, 32000, 1024, 32, 20],
    "0.5b": [24, 1280, 20, 3456, 32000, 2048, 8, 15],
    "1.5b": [24, 2048, 16, 5632, 32000, 2048, 8, 10],
}


def figures(command, stop_after=None, by=signal.SIGINT):
    """Of each step of a run its figures and when it was told of. Once so many steps were told of it is sent a signal, if that is asked."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        steps, sent = {}, False
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] != "metric":
                continue
            of_step = steps.setdefault(event["step"], {"told": time.monotonic()})
            of_step[event["name"]] = event["value"]
            if stop_after and event["name"] == "loss" and event["step"] >= stop_after and not sent:
                sent = True
                process.send_signal(by)
        if process.wait() != (0 if not sent else 130 if by == signal.SIGINT else -by):
            log.seek(0)
            sys.exit(f"muse ended with {process.returncode}:\n{log.read()}")
    return steps


def column(steps, name):
    """One figure, by step."""
    return {step: of_step[name] for step, of_step in steps.items() if name in of_step}


def asked(binary, sizes, timeout=None, **flags):
    """`muse bench` of a llama with these sizes, on a GPU, when it has ended."""
    layers, width, heads, ffn, vocabulary, tokens, sequences, steps = sizes
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        model = dict(layers=layers, width=width, heads=heads, ffn=ffn, vocab_size=vocabulary, qk_norm="false", tied="false")
        file.write("".join(f"{name}: {value}\n" for name, value in model.items()))
        file.flush()
        flags = {"device": "cuda", "context": tokens, "batch": sequences, "steps": steps, **flags}
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        command = [os.path.abspath(binary), "bench", file.name, "--json", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def bench(binary, sizes, **flags):
    """What it says."""
    done = asked(binary, sizes, **flags)
    if done.returncode:
        sys.exit(done.stderr)
    # What slows it down.
    if done.stderr:
        print(done.stderr.strip())
    return json.loads(done.stdout)
