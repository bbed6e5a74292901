//! A model over HTTP: what it learned by heart, through the API; whatever else is sent gets a clear answer or a free slot.
use super::using::{HEART, learned};
use crate::support::http::{get, post, post_text, read, send};
use crate::support::{TestContext, wait};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A server that runs. It ends with this.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(context: &TestContext, more: &[&str]) -> Self {
        let words = ["serve", "pipelines/p.yaml:base", "--port", "0", "--precision", "f32"];
        let mut command = context.command(words.iter().chain(more).copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    /// Asks it to end, as a terminal or a supervisor does. Its exit code and its log.
    fn end(self) -> (Option<i32>, String) {
        self.signal();
        self.ended()
    }

    /// Waits for an end that was asked for.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }

    fn signal(&self) {
        wait::signal(&self.child, rustix::process::Signal::TERM);
    }

    fn chat(&self, more: Value) -> Value {
        let mut body = json!({ "messages": [{ "role": "user", "content": HEART[0].0 }], "temperature": 0 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = post(&self.address, "/v1/chat/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    fn metric(&self, name: &str) -> f64 {
        let page = get(&self.address, "/metrics").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_was_learned_comes_back_through_the_api() {
    let context = learned();
    let served = Served::start(&context, &[]);
    assert!(served.address.starts_with("127.0.0.1:"), "{}", served.address);
    for (asked, answered) in HEART {
        let messages = json!([{ "role": "user", "content": [{ "type": "text", "text": asked }] }]);
        let answer = served.chat(json!({ "messages": messages, "model": "p:base", "user": "me" }));
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"], json!({ "role": "assistant", "content": answered, "refusal": null }));
        assert_eq!(
            (&choice["finish_reason"], &answer["object"]),
            (&json!("stop"), &json!("chat.completion"))
        );
        let usage = &answer["usage"];
        let [prompt, written, total] =
            ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64().unwrap());
        assert!(prompt > 3 && written > 1 && total == prompt + written, "{usage}");

        let body = json!({ "messages": messages, "temperature": 0, "stream": true, "stream_options": { "include_usage": true } });
        let streamed = post(&served.address, "/v1/chat/completions", &body);
        assert!(streamed.head.contains("text/event-stream") && streamed.body.ends_with("data: [DONE]\n\n"));
        let events = streamed.events();
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        let text: String =
            events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, answered);
        let last = &events[events.len() - 2]["choices"][0];
        assert_eq!(last["finish_reason"], "stop");
        assert_eq!(events[events.len() - 1]["usage"]["completion_tokens"], *written_of(usage));
        assert!(
            events
                .iter()
                .all(|event| event["id"] == events[0]["id"] && event["object"] == "chat.completion.chunk")
        );
    }
    // What was said before is not computed again.
    let again = served.chat(json!({}));
    assert!(again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0, "{again}");

    let likely = served.chat(json!({ "logprobs": true, "top_logprobs": 2, "max_tokens": 3 }));
    let content = likely["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    assert_eq!((content.len(), &likely["choices"][0]["finish_reason"]), (3, &json!("length")));
    let text: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text, likely["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(content[0]["top_logprobs"][0]["token"], content[0]["token"]);
    assert!(
        content.iter().all(|token| (-0.7..0.0).contains(&token["logprob"].as_f64().unwrap())),
        "{content:?}"
    );
    let bytes: Vec<u8> = serde_json::from_value(content[0]["bytes"].clone()).unwrap();
    assert_eq!(bytes, content[0]["token"].as_str().unwrap().as_bytes());

    let stopped = served.chat(json!({ "stop": [" red", "never"] }));
    assert_eq!(stopped["choices"][0]["message"]["content"], "a small");
    let several = served.chat(json!({ "n": 3, "temperature": 1.5, "seed": -4 }));
    assert_eq!(several["choices"].as_array().unwrap().len(), 3);
    assert_eq!(several["choices"], served.chat(json!({ "n": 3, "temperature": 1.5, "seed": -4 }))["choices"]);

    // Plain texts: one, several, as tokens, with the prompt before them.
    let complete = |body: Value| {
        let answer = post(&served.address, "/v1/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let plain = complete(json!({ "prompt": "川へ", "temperature": 0, "max_tokens": 5, "logprobs": 1 }));
    assert_eq!(
        (&plain["object"], &plain["usage"]["completion_tokens"]),
        (&json!("text_completion"), &json!(5))
    );
    let logprobs = &plain["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 5);
    assert_eq!(logprobs["text_offset"][0], 0);
    let both = complete(json!({ "prompt": ["川へ", "a"], "temperature": 0, "max_tokens": 5, "echo": true }));
    let texts: Vec<&str> =
        both["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect();
    assert_eq!(texts[0], format!("川へ{}", plain["choices"][0]["text"].as_str().unwrap()));
    assert!(texts[1].starts_with('a'));
    // How likely a prompt is, as lm-evaluation-harness asks a server: the last token is the one that was written.
    let asked =
        json!({ "prompt": [[5, 6, 7], [8]], "temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": true });
    let told = complete(asked);
    for (choice, count) in told["choices"].as_array().unwrap().iter().zip([3, 1]) {
        let logprobs = &choice["logprobs"];
        for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[list].as_array().unwrap().len(), count + 1, "{list}: {logprobs}");
        }
        assert_eq!(
            (&logprobs["token_logprobs"][0], &logprobs["top_logprobs"][0]),
            (&Value::Null, &Value::Null)
        );
        for at in 1..=count {
            let own = logprobs["token_logprobs"][at].as_f64().unwrap();
            let best = logprobs["top_logprobs"][at].as_object().unwrap().values().next().unwrap().as_f64();
            assert!(own < 0.0 && own <= best.unwrap(), "{logprobs}");
        }
    }
    let streamed = post(
        &served.address,
        "/v1/completions",
        &json!({ "prompt": "川へ", "temperature": 0, "max_tokens": 5, "stream": true }),
    );
    let text: String = streamed
        .events()
        .iter()
        .map(|event| event["choices"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, plain["choices"][0]["text"].as_str().unwrap());
    assert_eq!(complete(json!({ "prompt": [1, 2, 3], "max_tokens": 0 }))["choices"][0]["text"], "");

    let models = get(&served.address, "/v1/models").json();
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["context"]), (&json!("p:base"), &json!(96)));
    assert_eq!(get(&served.address, "/v1/models/p:base").json()["object"], "model");
    assert_eq!(get(&served.address, "/health").json(), json!({ "status": "ok" }));
    let page = get(&served.address, "/");
    assert!(page.head.contains("default-src 'none'") && page.body.contains("<title>muse</title>"));
    assert!(served.metric("muse_http_requests_total{path=\"/v1/chat/completions\",status=\"200\"}") >= 6.0);
    assert!(
        served.metric("muse_generated_tokens_total") > 10.0
            && served.metric("muse_first_token_seconds_count") > 5.0
    );
    let (code, log) = served.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("POST /v1/chat/completions 200") && log.contains("every answer was given"), "{log}");
    assert!(!log.contains(HEART[0].0) && !log.contains(HEART[0].1), "{log}");
}

#[test]
fn a_stream_tells_how_likely_tokens_are_as_a_whole_answer_does() {
    let context = learned();
    let served = Served::start(&context, &[]);
    let lists = ["tokens", "token_logprobs", "top_logprobs", "text_offset"];
    // Characters of which several tokens share one, and a token that does not stand in the text.
    let special = 0;
    for prompt in [json!("川へ a"), json!([special, 70, special, 71])] {
        let mut body =
            json!({ "prompt": prompt, "temperature": 0, "max_tokens": 6, "logprobs": 2, "echo": true });
        let whole = post(&served.address, "/v1/completions", &body).json();
        let choice = &whole["choices"][0];
        let told = &choice["logprobs"];
        let text: Vec<char> = choice["text"].as_str().unwrap().chars().collect();
        let tokens: Vec<&str> =
            told["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let offsets: Vec<usize> = serde_json::from_value(told["text_offset"].clone()).unwrap();
        assert_eq!((offsets[0], offsets.len()), (0, tokens.len()), "{told}");
        for (at, (token, offset)) in tokens.iter().zip(&offsets).enumerate() {
            assert!(at == 0 || offsets[at - 1] <= *offset, "{told}");
            if prompt.is_array() && [0, 2].contains(&at) {
                assert_eq!(offsets[at + 1], *offset, "a special token takes no room: {told}");
            } else if !token.contains('\u{fffd}') {
                let here: String = text[*offset..].iter().take(token.chars().count()).collect();
                assert_eq!(here, *token, "{told}");
            }
        }
        body["stream"] = true.into();
        let streamed = post(&served.address, "/v1/completions", &body).events();
        assert!(streamed.len() > 2, "it came in pieces");
        for list in lists {
            let parts = streamed.iter().filter_map(|event| event["choices"][0]["logprobs"][list].as_array());
            let joined: Vec<Value> = parts.flatten().cloned().collect();
            assert_eq!(Value::Array(joined), told[list], "{list}");
        }
    }
}

fn written_of(usage: &Value) -> &Value {
    &usage["completion_tokens"]
}

#[test]
fn whatever_else_is_sent_gets_a_clear_answer() {
    let context = learned();
    let served = Served::start(&context, &["--max-body", "4KiB", "--slots", "1", "--log-prompts"]);
    let chat = "/v1/chat/completions";
    let ask =
        |field: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"a\"}}], {field}}}");
    let deep = format!("{{\"messages\": {}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let long = ask(&format!("\"user\": \"{}\"", "長".repeat(3000)));
    let wordy = format!("{{\"prompt\": \"{}\"}}", "x1 ".repeat(400));
    let many = ask(&format!("\"stop\": [{}\"a\"]", "\"a\", ".repeat(16)));
    for (path, body, status, says) in [
        (chat, "", 400, "the body is no JSON"),
        (chat, "{\"messages\": [", 400, "the body is no JSON: EOF"),
        (chat, "[1, 2]", 400, "the body must be a JSON object"),
        (chat, &deep, 400, "recursion limit"),
        (chat, "{}", 400, "there are no `messages`"),
        (chat, "{\"messages\": []}", 400, "`messages` must be a list of messages, not []"),
        (
            chat,
            "{\"messages\": [{\"role\": \"king\", \"content\": \"a\"}]}",
            400,
            "`messages[0].role` must be system, user, assistant or tool, not \"king\"",
        ),
        (
            chat,
            "{\"messages\": [{\"role\": \"user\", \"content\": 7}]}",
            400,
            "`messages[0].content` must be a text, not 7",
        ),
        (
            chat,
            "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
            400,
            "a part that is no text",
        ),
        (
            chat,
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"mood\": 1}]}",
            400,
            "there is no field `mood` in `messages[0]`",
        ),
        (chat, &ask("\"temperture\": 1"), 400, "there is no field `temperture`; there are "),
        (chat, &ask("\"temperature\": -1"), 400, "`temperature` must be a number from 0 to 100, not -1"),
        (chat, &ask("\"temperature\": 1e400"), 400, "the body is no JSON: number out of range"),
        (chat, &ask("\"top_p\": \"high\""), 400, "`top_p` must be a number from 0 to 1, not \"high\""),
        (
            chat,
            &ask("\"max_tokens\": -5"),
            400,
            "`max_tokens` must be a whole number from 0 to 4294967295, not -5",
        ),
        (chat, &ask("\"max_tokens\": 99999999999999999999"), 400, "`max_tokens` must be a whole number"),
        (chat, &ask("\"n\": 1000000"), 400, "`n` must be a whole number from 1 to 16, not 1000000"),
        (chat, &ask("\"stream\": \"yes\""), 400, "`stream` must be true or false"),
        (chat, &ask("\"stop\": [\"\"]"), 400, "`stop` must be a text or up to 16 of them"),
        (chat, &many, 400, "`stop` must be a text or up to 16 of them"),
        (chat, &ask("\"seed\": 1.5"), 400, "`seed` must be a whole number, not 1.5"),
        (chat, &ask("\"tools\": [{}]"), 400, "`tools` is nothing that this server does"),
        (chat, &ask("\"response_format\": {\"type\": \"json_object\"}"), 400, "`response_format` is nothing"),
        (chat, &ask("\"top_logprobs\": 3"), 400, "`top_logprobs` goes with `logprobs: true`"),
        (chat, &ask("\"stream_options\": {\"x\": 1}"), 400, "there is no field `x` in `stream_options`"),
        (chat, &ask("\"model\": \"gpt-4\""), 404, "there is no model `gpt-4` here, but `p:base`"),
        (chat, &long, 413, "the body has more than 4096 bytes"),
        ("/v1/completions", "{}", 400, "there is no `prompt`"),
        ("/v1/completions", "{\"prompt\": \"\"}", 400, "the prompt is empty"),
        ("/v1/completions", "{\"prompt\": [5, -1]}", 400, "`prompt` must be a text or tokens"),
        ("/v1/completions", "{\"prompt\": [5, 4000000]}", 400, "there is no token 4000000 in this model"),
        ("/v1/completions", &wordy, 400, "tokens, and there is room for 95"),
        (
            "/v1/completions",
            "{\"prompt\": \"a\", \"logprobs\": 50}",
            400,
            "`logprobs` must be a whole number from 0 to 20",
        ),
        ("/v1/completions", "{\"prompt\": \"a\", \"best_of\": 3}", 400, "must be as many as `n`"),
        ("/v1/embeddings", "{}", 404, "there is nothing at `/v1/embeddings`"),
        ("/v1/models", "{}", 405, "`/v1/models` does not take POST"),
    ] {
        let answer = post_text(&served.address, path, body);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        assert!(answer.error().contains(says), "{shown}: {}", answer.body);
    }
    let other = read(send(
        &served.address,
        &format!("POST {chat}"),
        &["Content-Type: text/plain"],
        ask("\"n\": 1").as_bytes(),
    ));
    assert_eq!((other.status, other.error().contains("Content-Type: application/json")), (415, true));
    // A length that is a lie, a body that never ends, a head that is none.
    let headers = ["Content-Type: application/json", "Content-Length: 99999999999"];
    assert_eq!(read(send(&served.address, &format!("POST {chat}"), &headers, b"{")).status, 413);
    let headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"];
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let mut endless = send(&served.address, &format!("POST {chat}"), &headers, chunk.as_bytes());
    let _ = endless.write_all(chunk.as_bytes());
    assert_eq!(read(endless).status, 413);
    let mut strange = TcpStream::connect(&served.address).unwrap();
    strange.write_all(b"\x16\x03\x01 hello\r\n\r\n").unwrap();
    assert_eq!(read(strange).status, 400);
    // After all that it is as it was.
    assert_eq!(served.chat(json!({}))["choices"][0]["message"]["content"], HEART[0].1);
    assert_eq!((served.metric("muse_texts_writing"), served.metric("muse_texts_waiting")), (0.0, 0.0));
    let (code, log) = served.end();
    assert_eq!(code, Some(0));
    assert!(log.contains(&format!("asked: user: {}", HEART[0].0)), "{log}");
}

#[test]
fn who_leaves_makes_room_and_who_waits_is_told() {
    let context = learned();
    let served = Served::start(&context, &["--slots", "1", "--queue", "1"]);
    // So many prompts that the first of them are still being written when the others come.
    let body = |n: usize| {
        json!({ "prompt": "a", "n": n, "max_tokens": 90, "stream": true, "temperature": 2.0 }).to_string()
    };
    let begin = |n| {
        send(&served.address, "POST /v1/completions", &["Content-Type: application/json"], body(n).as_bytes())
    };
    let refused = read(begin(8));
    assert_eq!(
        (refused.status, refused.head.to_lowercase().contains("retry-after: 1")),
        (429, true),
        "{}",
        refused.body
    );
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    // What was taken of the refused request is let go too.
    wait::until("nothing is written", wait::LONG, || {
        served.metric("muse_texts_writing") + served.metric("muse_texts_waiting") == 0.0
    });
    let over = served.metric("muse_texts_total");
    for _ in 0..20 {
        let mut stream = begin(1);
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        drop(stream);
    }
    wait::until("nothing is written", wait::LONG, || {
        served.metric("muse_texts_writing") + served.metric("muse_texts_waiting") == 0.0
    });
    assert_eq!(served.chat(json!({}))["choices"][0]["message"]["content"], HEART[0].1);
    assert!(served.metric("muse_texts_total") >= over + 1.0);
}

#[test]
fn a_thousand_connections_keep_nobody_else_out() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    let context = learned();
    let served = Served::start(&context, &["--connections", "1100"]);
    let idle: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    assert_eq!(served.chat(json!({}))["choices"][0]["message"]["content"], HEART[0].1);
    // Half of them ask at once, and all are answered.
    let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address);
    let asked: Vec<TcpStream> = idle
        .into_iter()
        .take(500)
        .map(|mut stream| {
            stream.write_all(request.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
        })
        .collect();
    assert!(asked.into_iter().all(|stream| read(stream).status == 200));
}

#[test]
fn what_came_and_went_leaves_no_memory_behind() {
    let context = learned();
    let served = Served::start(&context, &["--slots", "2", "--queue", "64"]);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", served.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    };
    let large = format!("{{\"prompt\": \"{}\"}}", "x1 ".repeat(300_000));
    let asked = json!({ "prompt": "a", "n": 4, "max_tokens": 90, "stream": true }).to_string();
    let json = ["Content-Type: application/json"];
    let round = || {
        // Bodies of almost a megabyte that are no prompts, streams that are left, and connections that say nothing.
        for _ in 0..8 {
            assert_eq!(post_text(&served.address, "/v1/completions", &large).status, 400);
            let mut stream = send(&served.address, "POST /v1/completions", &json, asked.as_bytes());
            stream.read_exact(&mut [0; 64]).unwrap();
        }
        let _silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
        wait::until("nothing is written", wait::LONG, || {
            served.metric("muse_texts_writing") + served.metric("muse_texts_waiting") == 0.0
        });
    };
    // Until memory that is used again is there.
    (0..2).for_each(|_| round());
    // Six rounds of 8 bodies have 43 MiB: what is left behind takes as much every time, and what threads keep to use again does not.
    let mut seen = vec![memory()];
    let grows = |seen: &mut Vec<u64>| {
        (0..6).for_each(|_| round());
        seen.push(memory());
        seen[seen.len() - 1] >= seen[seen.len() - 2] + 24
    };
    let leaves_some = (0..4).all(|_| grows(&mut seen));
    assert!(!leaves_some, "MiB after six rounds each: {seen:?}");
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_answer() {
    let context = learned();
    let served = Served::start(&context, &[]);
    // More lines than a pipe takes.
    for _ in 0..3000 {
        assert_eq!(get(&served.address, "/v1/models").status, 200);
    }
    assert_eq!(served.chat(json!({}))["choices"][0]["message"]["content"], HEART[0].1);
}

#[test]
fn a_key_keeps_others_out_and_the_end_waits_for_answers() {
    let context = learned();
    let served = Served::start(&context, &["--api-key", "open sesame", "--name", "fox"]);
    for (header, status) in [
        ("X: y", 401),
        ("Authorization: Bearer open", 401),
        ("Authorization: Bearer open sesame!", 401),
        ("Authorization: Bearer open sesame", 200),
    ] {
        assert_eq!(read(send(&served.address, "GET /v1/models", &[header], b"")).status, status, "{header}");
    }
    assert_eq!((get(&served.address, "/health").status, get(&served.address, "/").status), (200, 200));
    let headers = ["Content-Type: application/json", "Authorization: Bearer open sesame"];
    let body = json!({ "prompt": "a", "max_tokens": 90, "stream": true, "model": "fox", "n": 8 }).to_string();
    let mut stream = send(&served.address, "POST /v1/completions", &headers, body.as_bytes());
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    served.signal();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    let (code, log) = served.ended();
    assert_eq!((code, log.contains("every answer was given")), (Some(0), true), "{log}");
    assert!(!log.contains("sesame"));
    // An address that is taken.
    let other = Served::start(&context, &[]);
    let port = other.address.rsplit(':').next().unwrap();
    let taken = context.muse(["serve", "pipelines/p.yaml:base", "--port", port]).ends(1);
    taken.says("cannot listen at 127.0.0.1:").says("`--port 0` takes one that is free");
}
