#!/usr/bin/env python3
"""`eval` and lm-evaluation-harness on the same models and items: the same prompts, likelihoods and figures.

    cargo build && python3 tests/by_hand/eval.py [--jcommonsenseqa valid.jsonl] [--keep DIR]     # ten minutes with a debug build

Trains two small models (byte-level BPE and Unigram), exports them as folders of transformers in f32, and asks both sides the
same: the harness's own task files, pointed at made-up items with each data set's columns, and JCommonsenseQA's real ones where
they are given (its first 200, with three examples of the last 300). Compares every prompt to the letter, every choice's
log-likelihood to 0.05 nat, what was written, every figure and standard error. Then some of it as in a chat, in turns and in one.
Prints a table in Markdown; exits with 1 where
something differs. Needs lm-eval (`pip install lm-eval[hf]`), torch and transformers; no network.
"""
import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", DISABLE_MULTIPROC="1")
import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HARNESS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
NAT = 0.05
# Our task, the harness's file, the side that is asked, and what else is said of it there.
TASKS = {
    "jcommonsenseqa": ("japanese_leaderboard/ja_leaderboard_jcommonsenseqa.yaml", "validation", {}),
    "jnli": ("japanese_leaderboard/ja_leaderboard_jnli.yaml", "validation", {}),
    "jsquad": ("japanese_leaderboard/ja_leaderboard_jsquad.yaml", "validation", {}),
    "hellaswag": ("hellaswag/hellaswag.yaml", "validation", {}),
    "arc_easy": ("arc/arc_easy.yaml", "test", {}),
    "arc_challenge": ("arc/arc_challenge.yaml", "test", {}),
    "mmlu": ("mmlu/default/_default_template_yaml", "test", {"num_fewshot": 5, "description": (
        "The following are multiple choice questions (with answers) about {{ subject.replace('_', ' ') }}.\n\n")}),
    "truthfulqa_mc1": ("truthfulqa/truthfulqa_mc1.yaml", "validation", {}),
    "truthfulqa_mc2": ("truthfulqa/truthfulqa_mc2.yaml", "validation", {}),
    "gsm8k": ("gsm8k/gsm8k.yaml", "test", {}),
    "held_out": (None, "test", {}),
}
EXAMPLES = {"mmlu": "dev"}
# How both sides are asked, and which tasks.
CHATS = {
    "plain": ({}, {}, list(TASKS)),
    "turns": ({"chat": "turns"}, {"apply_chat_template": True, "fewshot_as_multiturn": True}, ["jcommonsenseqa", "mmlu", "gsm8k"]),
    "one_turn": ({"chat": "one_turn", "system": "短く答える。"}, {"apply_chat_template": True, "fewshot_as_multiturn": False,
                  "system_instruction": "短く答える。"}, ["jcommonsenseqa", "jsquad", "mmlu"]),
}
WORDS = "犬 猫 山 川 海 空 桃 村 人 水 the a dog runs water falls red blue sun, moon. (it) is not 7 12 100 何 どこ は が を".split()


def items(seed, count):
    """Made-up items of each data set, with its columns."""
    chance = random.Random(seed)

    def words(least=2, most=9):
        return " ".join(chance.choice(WORDS) for _ in range(chance.randint(least, most)))

    def choices(count):
        return [f"{words(1, 5)} {number}" for number in range(count)]

    made = {name: [] for name in TASKS}
    for number in range(count):
        options = choices(5)
        made["jcommonsenseqa"].append({"q_id": number, "question": words(), **{f"choice{at}": text for at, text in enumerate(options)},
                                       "label": chance.randrange(5)})
        made["jnli"].append({"sentence_pair_id": str(number), "sentence1": words(), "sentence2": words(), "label": chance.randrange(3)})
        context = words(8, 20)
        made["jsquad"].append({"id": f"q{number}", "title": words(), "context": f"{words()} [SEP] {context}", "question": words(),
                               "answers": {"text": [context.split()[3]], "answer_start": [0]}, "is_impossible": False})
        made["hellaswag"].append({"ind": number, "activity_label": words(), "ctx_a": f"{words()} [title] {words()} [step]  {words()}",
                                  "ctx_b": words(), "ctx": "", "endings": [f"{text} [substeps]  so" for text in choices(4)],
                                  "label": str(chance.randrange(4))})
        for name in ["arc_easy", "arc_challenge"]:
            made[name].append({"id": f"i{number}", "question": words(), "answerKey": chance.choice("ABCD"),
                               "choices": {"text": choices(4), "label": list("ABCD")}})
        made["mmlu"].append({"question": f" {words()} ", "subject": "high_school_things", "choices": choices(4), "answer": chance.randrange(4)})
        truths = choices(5)
        truth = {"question": words(), "mc1_targets": {"choices": truths, "labels": [1, 0, 0, 0, 0]},
                 "mc2_targets": {"choices": truths, "labels": [1, 0, 1, 0, 0]}}
        made["truthfulqa_mc1"].append(truth)
        made["truthfulqa_mc2"].append(truth)
        made["gsm8k"].append({"question": words(), "answer": f"{words()}\n#### {chance.randint(1, 2000):,}"})
        made["held_out"].append({"text": "\n".join(words(20, 60) for _ in range(chance.randint(1, 9)))})
    return made


def write(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def lay_out(work, real):
    """The items of both sides, and the tasks of ours beside them. Where the harness finds its files."""
    asked, shown = items(1, 40), items(2, 12)
    if real:
        rows = [json.loads(line) for line in open(real, encoding="utf-8")]
        asked["jcommonsenseqa"], shown["jcommonsenseqa"] = rows[:200], rows[-300:]
    places = {}
    for name, (_, side, _) in TASKS.items():
        places[name] = {side: f"{work}/data/{name}/{side}.jsonl", EXAMPLES.get(name, "train"): f"{work}/data/{name}/{EXAMPLES.get(name, 'train')}.jsonl"}
        for rows, place in zip([asked[name], shown[name]], places[name].values()):
            write(place, rows)
        task = open(f"{ROOT}/configs/tasks/{name}.yaml", encoding="utf-8").read()
        os.makedirs(f"{work}/configs/tasks", exist_ok=True)
        own = task + f"files: ../../data/{name}\n" + ("items: 'test*'\n" if name == "held_out" else "")
        open(f"{work}/configs/tasks/{name}.yaml", "w", encoding="utf-8").write(own)
    return places


def page(work):
    """A page that trains, exports and asks."""
    stages = {"corpus": {"uses": "download", "with": {"source": "synthetic", "languages": ["ja", "en"], "count": 600, "seed": 1}}}
    for name, tokenizer in {"bpe": {}, "unigram": {"algorithm": "unigram"}}.items():
        stages[f"tokens_{name}"] = {"uses": "tokenizer", "inputs": {"corpus": "corpus"}, "with": {"vocab_size": 800, **tokenizer}}
        stages[f"packed_{name}"] = {"uses": "pack", "inputs": {"corpus": "corpus", "tokenizer": f"tokens_{name}"}, "with": {"context": 1024}}
        stages[name] = {"uses": "pretrain", "inputs": {"data": f"packed_{name}"},
                        "with": {"model": "../configs/models/m.yaml", "steps": 60, "batch_tokens": 4096, "lr": 3e-3}}
        ports = {"model": name, "tokenizer": f"tokens_{name}"}
        stages[f"hf_{name}"] = {"uses": "export", "inputs": ports, "with": {"format": "hf", "dtype": "f32"}}
        for chat, (ours, _, asked) in CHATS.items():
            tasks = [f"../configs/tasks/{task}.yaml" for task in asked]
            stages[f"eval_{name}_{chat}"] = {"uses": "eval", "inputs": ports, "with": {"tasks": tasks, "samples": 100, **ours}}
    os.makedirs(f"{work}/configs/models", exist_ok=True)
    os.makedirs(f"{work}/pipelines", exist_ok=True)
    open(f"{work}/configs/models/m.yaml", "w").write("{ layers: 2, width: 64, heads: 4, kv_heads: 2, ffn: 128, tied: true }\n")
    json.dump({"muse": 1, "stages": stages}, open(f"{work}/pipelines/p.yaml", "w"))


def muse(work, *words):
    subprocess.run([os.environ.get("MUSE", f"{ROOT}/target/debug/muse"), *words], cwd=work, check=True, stdout=subprocess.DEVNULL)


def theirs(work, places, folder, asked, how):
    """What the harness says of a model: figures, and items by task."""
    os.makedirs(f"{work}/harness", exist_ok=True)
    for name, (file, side, more) in TASKS.items():
        config = {"task": f"own_{name}", "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": places[name]},
                  f"{side}_split": side, **more}
        if file:
            config["include"] = os.path.join(HARNESS, file)
            if EXAMPLES.get(name, "train") == "train" and name not in ("truthfulqa_mc1", "truthfulqa_mc2"):
                config["training_split"] = "train"
        else:
            figures = ["word_perplexity", "byte_perplexity", "bits_per_byte"]
            config |= {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
                       "metric_list": [{"metric": figure} for figure in figures]}
        json.dump(config, open(f"{work}/harness/own_{name}.yaml", "w"), ensure_ascii=False)
    manager = TaskManager(include_path=f"{work}/harness", include_defaults=False)
    said = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": folder, "dtype": "float32", "device": "cpu"}, batch_size=8,
        tasks=[f"own_{name}" for name in asked], task_manager=manager, log_samples=True, bootstrap_iters=1, **how)
    return said["results"], said["samples"]


def compare(report, records, results, samples, template):
    """Rows of the table, and what differs."""
    rows, wrong = [], []
    for task in report["tasks"]:
        name, figures = task["name"], results[f"own_{task['name']}"]
        # With several filters there are several lines of an item, which differ in what was taken out.
        theirs = {}
        for sample in samples[f"own_{name}"]:
            theirs.setdefault(sample["doc_id"], sample)
        ours = [record for record in records if record["task"] == name]
        prompts, furthest, texts = 0, 0.0, 0
        for record in ours:
            sample = theirs[record["item"]]
            arguments = list(sample["arguments"].values()) if isinstance(sample["arguments"], dict) else sample["arguments"]
            asked = list(arguments[0].values())[0] if isinstance(arguments[0], dict) else arguments[0][0]
            if record["item"] < len(task["samples"]) and task["kind"] != "perplexity":
                prompt = task["samples"][record["item"]]["prompt"]
                prompts += (prompt if isinstance(prompt, str) else template(prompt)) == asked
            responses = [response[0] for response in sample["resps"]]
            if task["kind"] == "multiple_choice":
                apart = [abs(a - float(b[0])) for a, b in zip(record["likelihoods"], responses)]
                furthest = max([furthest, *apart])
            elif task["kind"] == "generate":
                texts += record["written"] == responses[0]
            else:
                value = responses[0] if not isinstance(responses[0], (list, tuple)) else responses[0][0]
                furthest = max(furthest, abs(record["measured"]["likelihood"] - float(value)))
        shown = 0 if task["kind"] == "perplexity" else min(len(ours), len(task["samples"]))
        checks = {"prompts": prompts == shown, "likelihoods": furthest <= NAT}
        if task["kind"] == "generate":
            checks["texts"] = texts >= 0.95 * len(ours)
        for figure, value in task["results"][0]["metrics"].items():
            known = {"mc2": "acc,none"}.get(figure, figure if "," in figure else f"{figure},none")
            if known not in figures:
                continue
            slack = 1e-4 if task["kind"] != "generate" else 0.03
            checks[figure] = abs(value["value"] - figures[known]) <= slack * max(1, abs(figures[known]))
            error = figures.get(known.replace(",", "_stderr,"))
            if isinstance(error, float) and value["stderr"] is not None and task["kind"] != "generate":
                checks[f"stderr of {figure}"] = abs(value["stderr"] - error) <= 1e-4
        figures = ", ".join(f"{figure} {value['value']:.4f}" for figure, value in task["results"][0]["metrics"].items())
        bad = [what for what, good in checks.items() if not good]
        wrong += [f"{name}: {what}" for what in bad]
        same = f"{texts}/{len(ours)}" if task["kind"] == "generate" else ""
        rows.append(f"| {name} | {len(ours)} | {prompts}/{shown} | {furthest:.6f} | {same} | {figures} | {', '.join(bad) or 'same'} |")
    return rows, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jcommonsenseqa", help="JGLUE's own file of its validation side")
    parser.add_argument("--keep", help="work here, and leave it")
    options = parser.parse_args()
    work = os.path.abspath(options.keep or tempfile.mkdtemp(prefix="muse-eval-"))
    os.makedirs(work, exist_ok=True)
    places = lay_out(work, options.jcommonsenseqa)
    page(work)
    muse(work, "run", "pipelines/p.yaml", "-q")
    bad = []
    for name in ["bpe", "unigram"]:
        for what in [f"hf_{name}", *(f"eval_{name}_{chat}" for chat in CHATS)]:
            if not glob.glob(f"{work}/out/{what}/*"):
                muse(work, "get", "pipelines/p.yaml", what, "--to", f"{work}/out/{what}")
        tokenizer = AutoTokenizer.from_pretrained(f"{work}/out/hf_{name}")
        template = lambda turns: tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)  # noqa: E731
        for chat, (_, how, asked) in CHATS.items():
            out = f"{work}/out/eval_{name}_{chat}"
            report = json.load(open(f"{out}/report.json"))
            records = [json.loads(line) for line in open(f"{out}/items.jsonl", encoding="utf-8")]
            results, samples = theirs(work, places, f"{work}/out/hf_{name}", asked, how)
            rows, wrong = compare(report, records, results, samples, template)
            show(f"{name}, {chat}", rows)
            bad += [f"{name}, {chat}: {one}" for one in wrong]
    print("\n" + ("\n".join(bad) or "all the same"))
    sys.exit(bool(bad))


def show(what, rows):
    print(f"\n{what}, lm-eval {lm_eval.__version__}\n\n| task | items | same prompts | furthest, nat | same texts | figures | |")
    print("|---|---:|---:|---:|---:|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
