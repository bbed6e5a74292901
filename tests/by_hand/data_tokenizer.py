#!/usr/bin/env python3
"""Trains tokenizers with muse and with Python's `tokenizers`, side by side, and loads them in `transformers`.

    cargo build --release
    python3 tests/by_hand/data_tokenizer.py --texts DIR        # about 10 minutes
    python3 tests/by_hand/data_tokenizer.py --texts DIR --only equal

DIR holds real text: below it `.txt` files (a document ends at an empty line), and `.jsonl` files whose objects have a
`text`, `messages`, or other fields of text. Parts:

speed   BPE with 32,768 tokens on all real text, and on 100 MB made from nine tenths of it by recombining and altering its words by a
        seed. Both train in turns, three times; a median is printed, and their vocabularies and merges must be equal. muse's
        time is its whole stage: reading parquet, writing, opening and measuring the result; that of the peer is
        `train_from_iterator` alone, on texts that lie in memory.
modes   Each `mode` of muse on the 100 MB: its time, and the characters per token on text that it has not read.
split   Each `split` of muse, and unigram, on nine tenths of the real text: characters per token on the rest, by language.
equal   `transformers` loads what muse trained, with each algorithm, and gives the ids that `pack` writes, for all texts and
        for every character of Unicode.

tokenizers, transformers and pyarrow come from PyPI into an environment below the work folder.
"""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32768
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
WORD = re.compile(r"[一-鿿々ァ-ヿ]+[ぁ-ゟ]*|[ぁ-ゟ]+|\s?\w+|\W+")


def real_texts(folder):
    """All documents below a folder."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".txt":
            texts += path.read_text(encoding="utf-8").split("\n\n")
        elif path.suffix == ".jsonl":
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if "messages" in row:
                    texts += [turn["content"] for turn in row["messages"]]
                elif "text" in row:
                    texts.append(row["text"])
                else:
                    texts.append("\n".join(value for value in row.values() if isinstance(value, str)))
    return [text for text in texts if text]


def altered(texts, size, seed=7):
    """Texts of so many bytes, made of the words of others: some exchanged, some with letters added or lost."""
    draw = random.Random(seed)
    words = [WORD.findall(text) for text in texts]
    pool = [word for text in words for word in text]
    made, done = [], 0
    while done < size:
        text = []
        for word in words[draw.randrange(len(words))]:
            chance = draw.random()
            if chance < 0.25:
                word = draw.choice(pool)
            elif chance < 0.28 and len(word) > 1:
                at = draw.randrange(len(word))
                word = word[:at] + ("" if chance < 0.265 else draw.choice(pool)[0] + word[at]) + word[at + 1:]
            text.append(word)
        made.append("".join(text))
        done += len(made[-1].encode())
    return made


def peak_of(process):
    """The most memory that a process has held, in bytes, as far as it is still there."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


class Muse:
    """Runs stages by the binary, each in a folder of its own, as `muse run` does."""

    def __init__(self, binary, work, threads):
        self.binary, self.work, self.threads = binary, work, threads

    def corpus(self, name, texts):
        """A corpus as muse writes it: row groups of about 8 MiB."""
        import pyarrow
        import pyarrow.parquet

        folder = self.work / name
        folder.mkdir(parents=True)
        schema = pyarrow.schema([("text", pyarrow.string()), ("source", pyarrow.string())])
        with pyarrow.parquet.ParquetWriter(folder / "00000.parquet", schema, compression="zstd") as writer:
            rows, held = [], 0
            for text in [*texts, None]:
                if rows and (text is None or held >= 8 << 20):
                    writer.write_table(pyarrow.table([rows, [name] * len(rows)], schema=schema))
                    rows, held = [], 0
                if text is not None:
                    rows.append(text)
                    held += len(text.encode())
        return folder

    def stage(self, kind, params, inputs, output):
        """Runs a stage: seconds, peak memory in bytes, and the folder of its result."""
        folder = Path(tempfile.mkdtemp(dir=self.work, prefix=f"{kind}-"))
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        ports = {}
        for port, path in inputs.items():
            (folder / "in" / port).symlink_to(path)
            ports[port] = {"path": f"in/{port}", "list": False, "entries": [["", f"in/{port}"]]}
        job = {"job": 1, "mode": "run", "kind": kind, "version": 1, "stage": kind, "key": "b3:0", "attempt": 1,
               "params": params, "work": str(folder), "inputs": ports, "outputs": {output: output},
               "threads": self.threads}
        (folder / "job.json").write_text(json.dumps(job))
        began = time.perf_counter()
        child = subprocess.Popen([str(self.binary), "exec-stage", str(folder / "job.json")], cwd=folder,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        peak, last = 0, ""
        # Not what wait4 says: that counts this script too, which the child was forked from.
        for last in child.stdout:
            peak = max(peak, peak_of(child.pid))
        child.stdin.close()
        if child.wait():
            sys.exit(f"{kind} {params} ended with {child.returncode}: {last}")
        return time.perf_counter() - began, peak, folder / "out" / output

    def train(self, corpus, **params):
        return self.stage("tokenizer", params, {"corpus": self.work / corpus}, "tokenizer")

    def ids(self, tokenizer, texts):
        """The ids of texts, as they stand in packed tokens: each text ends with 0, which stands for no text."""
        corpus = self.corpus(Path(tempfile.mkdtemp(dir=self.work, prefix="ask-")).name + "-corpus", texts)
        inputs = {"corpus": corpus, "tokenizer": tokenizer}
        _, _, packed = self.stage("pack", {"context": 2048, "validation": 0}, inputs, "tokens")
        flat = array("H")
        flat.frombytes((packed / "train.bin").read_bytes())
        texts, text = [], []
        for one in flat:
            if one == 0:
                texts.append(text)
                text = []
            else:
                text.append(one)
        return texts


def peer_train(texts, pattern, path):
    """The same by the Python package; seconds."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, letters])
    tokenizer.decoder = decoders.ByteLevel()
    # There a token has fewer letters than this, in muse at most 64.
    trainer = trainers.BpeTrainer(vocab_size=SIZE, min_frequency=2, show_progress=False, max_token_length=65,
                                  special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    began = time.perf_counter()
    tokenizer.train_from_iterator(texts, trainer)
    seconds = time.perf_counter() - began
    tokenizer.save(str(path))
    return seconds


def model(path):
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    return model["vocab"], pairs


def speed(muse, corpora, rounds):
    print(f"{'text':8} {'bytes':>12} {'muse':>8} {'peer':>8} {'ratio':>6} {'memory':>9}  vocabulary and merges")
    for name, texts in corpora.items():
        mine, theirs, peaks, same = [], [], [], True
        for _ in range(rounds):
            seconds, peak, folder = muse.train(name, vocab_size=SIZE)
            mine.append(seconds)
            peaks.append(peak)
            whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            pattern = whole["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
            theirs.append(peer_train(texts, pattern, muse.work / "peer.json"))
            same &= model(folder / "tokenizer.json") == model(muse.work / "peer.json")
        a, b = statistics.median(mine), statistics.median(theirs)
        size = sum(len(text.encode()) for text in texts)
        print(f"{name:8} {size:12,} {a:7.2f}s {b:7.2f}s {a / b:6.2f} {max(peaks) >> 20:5} MiB  "
              f"{'equal' if same else 'DIFFERENT'}", flush=True)
        if not same:
            sys.exit(1)


def japanese(text):
    return bool(re.search("[ぁ-ヿ]", text))


def characters_per_token(folder, texts):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    row = []
    for language in (True, False):
        own = [text for text in texts if japanese(text) == language]
        tokens = sum(len(one.ids) for one in tokenizer.encode_batch(own))
        row.append(sum(map(len, own)) / max(tokens, 1))
    return row


UNSEEN = "characters per token, on text that was not read"


def modes(muse, unseen):
    print(f"{'mode':10} {'seconds':>8} {'tokens':>7} {'ja':>7} {'en':>7}   {UNSEEN}")
    for mode in ("default", "fast", "turbo", "ultrafast"):
        seconds, _, folder = muse.train("made", vocab_size=SIZE, mode=mode)
        ja, en = characters_per_token(folder, unseen)
        tokens = json.loads((folder / "report.json").read_text())["vocabulary"]["tokens"]
        print(f"{mode:10} {seconds:7.2f}s {tokens:7} {ja:7.3f} {en:7.3f}", flush=True)


def splits(muse, unseen):
    print(f"{'split':8} {'algorithm':9} {'size':>6} {'seconds':>8} {'ja':>7} {'en':>7}   {UNSEEN}")
    rows = [("script", "bpe"), ("gpt4", "bpe"), ("gpt2", "bpe"), ("script", "unigram")]
    for size in (8192, SIZE):
        for split, algorithm in rows:
            seconds, _, folder = muse.train("seen", vocab_size=size, split=split, algorithm=algorithm)
            ja, en = characters_per_token(folder, unseen)
            print(f"{split:8} {algorithm:9} {size:6} {seconds:7.2f}s {ja:7.3f} {en:7.3f}", flush=True)


def equal(muse, texts):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    hard = ["\0\r\n\t ", "が か\u3099 e\u0301", "👨‍👩‍👧🇯🇵", "ﾊﾝｶｸ　全角", "<0x41>Ġ▁", "𠮷野家で𩸽", " " * 40]
    for first in range(0, 0x110000, 256):
        page = "".join(map(chr, (one for one in range(first, first + 256) if not 0xD800 <= one < 0xE000)))
        hard += [page] if page else []
    for algorithm in ("bpe", "unigram", "char", "byte"):
        _, _, folder = muse.train("real", algorithm=algorithm, **({} if algorithm == "byte" else {"vocab_size": 8192}))
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        again = PreTrainedTokenizerFast.from_pretrained(str(folder))
        mine = muse.ids(folder, texts + hard)
        theirs = tokenizer(texts + hard)["input_ids"]
        assert len(mine) == len(theirs) and again(texts)["input_ids"] == theirs[: len(texts)]
        for text, a, b in zip(texts + hard, mine, theirs):
            assert a == b, (algorithm, text, a, b)
            assert tokenizer.decode(b) == text, (algorithm, text)
        chat = [{"role": "user", "content": "はい？"}, {"role": "assistant", "content": "いいえ。"}]
        written = tokenizer.apply_chat_template(chat, tokenize=False)
        assert written == "<|im_start|>user\nはい？<|im_end|>\n<|im_start|>assistant\nいいえ。<|im_end|>\n", written
        asked = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
        said = [one for one, mask in zip(asked["input_ids"], asked["assistant_masks"]) if mask]
        assert tokenizer.decode(said) == "いいえ。<|im_end|>", said
        assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|pad|>")
        print(f"{algorithm:8} transformers gives muse's ids for {len(texts):,} texts and all of Unicode, and every text "
              "back", flush=True)


def inside(work):
    """Starts again inside an environment that has what is needed."""
    home = work / "venv"
    python = home / "bin" / "python3"
    if Path(sys.prefix).resolve() == home.resolve():
        return
    if not python.exists():
        venv.create(home, with_pip=True)
        wanted = ["tokenizers", "transformers", "jinja2", "pyarrow"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    sys.exit(subprocess.run([str(python), *sys.argv]).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "data_tokenizer")
    parser.add_argument("--muse", type=Path, default=ROOT / "target" / "release" / "muse")
    parser.add_argument("--only", default="speed,modes,split,equal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bytes", type=int, default=100_000_000, help="how much text is made")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    inside(work)
    for old in [path for path in work.iterdir() if path.name != "venv"]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    muse = Muse(args.muse.resolve(), work, args.threads)
    parts = args.only.split(",")
    texts = real_texts(args.texts)
    muse.corpus("real", texts)
    # Every tenth text is kept back, and with it all that begin alike: questions repeat their paragraph.
    held = {text[:20] for text in texts[::10]}
    unseen = sorted({text for text in texts if text[:20] in held})
    seen = [text for text in texts if text[:20] not in held]
    muse.corpus("seen", seen)
    if "speed" in parts or "modes" in parts:
        made = altered(seen, args.bytes)
        muse.corpus("made", made)
    if "speed" in parts:
        speed(muse, {"real": texts, "made": made}, args.rounds)
    if "modes" in parts:
        modes(muse, unseen)
    if "split" in parts:
        splits(muse, unseen)
    if "equal" in parts:
        equal(muse, texts)


if __name__ == "__main__":
    main()
