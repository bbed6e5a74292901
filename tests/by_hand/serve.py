#!/usr/bin/env python3
"""`muse serve` in the hands of its users: the real OpenAI client, a real browser, many clients at once.

    cargo build --release && tests/by_hand/serve.py [MUSE] [--clients 32] [--tokens 64] [--precision f32 bf16 int8] [--device cuda]

Needs Python with `openai` and `selenium`, Chromium with its driver; with `--load-only` neither. Ten minutes on two cores, nearly all of
it load.

1. A model that learned three answers by heart gives them word for word: to the client, whole and streamed, and in the page.
2. Tokens a second of one client, then of all of them streaming at once, three times in turn; the time to the first token, its
   median and its 99th percentile; memory before and after.
"""
import argparse, concurrent.futures, http.client, json, multiprocessing, pathlib, re, shutil, signal, statistics, subprocess, tempfile, time

HEART = [("what is it", "a small red fox"), ("どこへ行く", "川へ洗濯に行きます。"), ("say it twice", "twice, twice")]
# By their parameters.
MODELS = {
    "30m": "{ layers: 8, width: 512, heads: 8, ffn: 1408, tied: true, vocab_size: 8192 }",
    "110m": "{ layers: 12, width: 768, heads: 12, ffn: 2048, tied: true, vocab_size: 32000 }",
}
PAGE = """muse: 1
stages:
  corpus: {{ uses: download, with: {{ source: file, paths: ["../chats.jsonl"] }} }}
  tokenizer: {{ uses: tokenizer, inputs: {{ corpus: corpus }}, with: {{ vocab_size: 300 }} }}
  packed:
    uses: pack
    inputs: {{ corpus: corpus, tokenizer: tokenizer }}
    with: {{ context: {context}, mask: assistant, validation: 0, strategy: best-fit }}
  base:
    uses: pretrain
    inputs: {{ data: packed }}
    with: {{ model: ../configs/models/m.yaml, steps: {steps}, batch_tokens: {batch}, lr: 1e-2, vocab_size: null }}
"""


def project(folder, model, context, steps, batch):
    (folder / "pipelines").mkdir(parents=True)
    (folder / "configs/models").mkdir(parents=True)
    (folder / "configs/models/m.yaml").write_text(model)
    page = PAGE.format(context=context, steps=steps, batch=batch).replace(", vocab_size: null", "")
    (folder / "pipelines/p.yaml").write_text(page)
    with open(folder / "chats.jsonl", "w") as out:
        for asked, answered in HEART:
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
            out.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")
    subprocess.run([MUSE, "run", "pipelines/p.yaml", "-q", "--device", "cpu"], cwd=folder, check=True)


class Served:
    def __init__(self, folder, *more):
        words = [MUSE, "serve", "pipelines/p.yaml:base", "--port", "0", *more]
        self.log = open(folder / "serve.log", "w")
        self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = self.process.stdout.readline().strip()

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0


def by_heart(served):
    from openai import OpenAI

    client = OpenAI(base_url=served.address + "/v1", api_key="none", max_retries=0)
    for asked, answered in HEART:
        ask = dict(model="p:base", messages=[{"role": "user", "content": asked}], temperature=0)
        whole = client.chat.completions.create(**ask)
        assert whole.choices[0].message.content == answered, whole
        parts = client.chat.completions.create(**ask, stream=True)
        assert "".join(part.choices[0].delta.content or "" for part in parts) == answered
    print("the OpenAI client: word for word, whole and streamed")


def in_the_page(served):
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for word in ["--headless=new", "--no-sandbox", "--window-size=1000,720"]:
        options.add_argument(word)
    # With the driver at hand selenium asks nobody for one.
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        for asked, answered in HEART:
            browser.get(served.address)
            settings = browser.find_element(By.CSS_SELECTOR, "summary")
            settings.click()
            temperature = browser.find_element(By.ID, "temperature")
            temperature.clear()
            temperature.send_keys("0")
            browser.find_element(By.ID, "said").send_keys(asked, Keys.ENTER)
            until = time.time() + 20
            while time.time() < until and not browser.find_elements(By.CSS_SELECTOR, ".figures"):
                time.sleep(0.05)
            said = browser.find_element(By.CSS_SELECTOR, ".assistant").text
            assert said == answered, said
        wrong = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        assert not wrong, wrong
    finally:
        browser.quit()
    print("the page in Chromium: word for word, and nothing in its console")


def stream(port, number, tokens, begun):
    """One client, which only reads: how many tokens came, and when the first."""
    prompt = [3 + (number * 7 + at * at) % 250 for at in range(32)]
    wish = dict(model="p:base", prompt=prompt, max_tokens=tokens, temperature=1, seed=number, stream=True,
                stream_options={"include_usage": True})
    begun.wait()
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/completions", json.dumps(wish), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    first, end = None, b""
    while part := answer.read1():
        first = first or time.perf_counter() - begin
        end = (end + part)[-4096:]
    written = int(re.findall(rb'"completion_tokens":(\d+)', end)[-1])
    return written, first, begin, time.perf_counter()


def clients_of(port, numbers, tokens, begun, told):
    with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
        told.put(list(pool.map(lambda number: stream(port, number, tokens, begun), numbers)))


def load(served, clients, tokens):
    """Tokens a second of all clients, and when each had its first; by a few processes, so that reading holds nobody up."""
    port = int(served.address.rsplit(":", 1)[1])
    context = multiprocessing.get_context("fork")
    begun, told = context.Event(), context.Queue()
    groups = [numbers for at in range(8) if (numbers := range(at, clients, 8))]
    processes = [context.Process(target=clients_of, args=(port, numbers, tokens, begun, told)) for numbers in groups]
    [process.start() for process in processes]
    time.sleep(0.5)
    begun.set()
    all = [one for _ in processes for one in told.get()]
    [process.join() for process in processes]
    seconds = max(end for *_, end in all) - min(begin for _, _, begin, _ in all)
    return sum(written for written, *_ in all) / seconds, [first for _, first, *_ in all]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("muse", nargs="?", default=pathlib.Path(__file__).parents[2] / "target/release/muse")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--precision", nargs="+", default=["bf16"])
    parser.add_argument("--model", choices=MODELS, default="110m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--load-only", action="store_true")
    args = parser.parse_args()
    global MUSE
    MUSE = str(pathlib.Path(args.muse).resolve())
    with tempfile.TemporaryDirectory() as temporary:
        if not args.load_only:
            folder = pathlib.Path(temporary) / "heart"
            project(folder, "{ layers: 2, width: 48, heads: 3, ffn: 96, tied: true }", 96, 120, 288)
            served = Served(folder, "--precision", "f32")
            by_heart(served)
            in_the_page(served)
            served.end()
        folder = pathlib.Path(temporary) / "load"
        # What they say does not matter, so one step is enough.
        project(folder, MODELS[args.model], 256, 1, 256)
        for precision in args.precision:
            under_load(folder, precision, args)


def under_load(folder, precision, args):
    served = Served(folder, "--device", args.device, "--precision", precision, "--slots", str(args.clients))
    load(served, args.clients, 8)
    before = served.memory()
    rates, firsts = {1: [], args.clients: []}, {1: [], args.clients: []}
    for _ in range(args.rounds):
        for clients in rates:
            rate, first = load(served, clients, args.tokens)
            rates[clients].append(rate)
            firsts[clients] += first
    for clients in rates:
        some = sorted(firsts[clients])
        late = some[min(len(some) - 1, int(len(some) * 0.99))]
        print(f"{args.model} {args.device} {precision} {clients:3} clients: {statistics.median(rates[clients]):7.1f} tokens/s in all, first "
              f"token {statistics.median(some) * 1e3:.0f} ms, 99% within {late * 1e3:.0f} ms")
    ratio = statistics.median(rates[args.clients]) / statistics.median(rates[1])
    print(f"{ratio:.1f} times the tokens of one client; memory {before:.0f} MiB before, {served.memory():.0f} MiB after", flush=True)
    served.end()


if __name__ == "__main__":
    main()
