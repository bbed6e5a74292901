//! Counts for Prometheus: requests by path and status, tokens, what is going on, how long answers take.
use axum::http::StatusCode;
use muse_inference::Totals;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// What was counted since the start.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(&'static str, u16), u64>,
    first_token: Histogram,
    whole: Histogram,
}

#[derive(Clone, Default)]
struct Histogram {
    counts: [u64; BUCKETS.len()],
    sum: f64,
    count: u64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (count, _) in self.counts.iter_mut().zip(BUCKETS).filter(|(_, end)| seconds <= *end) {
            *count += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (count, end) in self.counts.iter().zip(BUCKETS) {
            let _ = writeln!(text, "{name}_bucket{{le=\"{end}\"}} {count}");
        }
        let Self { sum, count, .. } = self;
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }
}

impl Metrics {
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A request was answered.
    pub(crate) fn request(&self, path: &'static str, status: StatusCode) {
        self.change(|counts| *counts.requests.entry((path, status.as_u16())).or_default() += 1);
    }

    /// The first token of a text was there so long after it was asked for.
    pub(crate) fn first_token(&self, time: Duration) {
        self.change(|counts| counts.first_token.add(time));
    }

    /// A text was over.
    pub(crate) fn whole(&self, time: Duration) {
        self.change(|counts| counts.whole.add(time));
    }

    /// In the text format of Prometheus.
    pub(crate) fn page(&self, totals: &Totals) -> String {
        let mut text = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let Totals { writing, waiting, prompt, cached, written, texts } = totals;
        one(
            "muse_texts_writing",
            "gauge",
            "Texts that are being written.",
            writing.load(Ordering::Relaxed) as u64,
        );
        one(
            "muse_texts_waiting",
            "gauge",
            "Texts that wait for a slot.",
            waiting.load(Ordering::Relaxed) as u64,
        );
        one("muse_texts_total", "counter", "Texts that are over.", texts.load(Ordering::Relaxed));
        one(
            "muse_prompt_tokens_total",
            "counter",
            "Tokens of prompts that were computed.",
            prompt.load(Ordering::Relaxed),
        );
        one(
            "muse_prompt_tokens_cached_total",
            "counter",
            "Tokens of prompts that were not computed again.",
            cached.load(Ordering::Relaxed),
        );
        one(
            "muse_generated_tokens_total",
            "counter",
            "Tokens that were written.",
            written.load(Ordering::Relaxed),
        );
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text += "# HELP muse_http_requests_total Requests by path and status.\n# TYPE muse_http_requests_total counter\n";
        for ((path, status), count) in &counts.requests {
            let _ = writeln!(text, "muse_http_requests_total{{path=\"{path}\",status=\"{status}\"}} {count}");
        }
        counts.first_token.write(
            &mut text,
            "muse_first_token_seconds",
            "From the request to the first token.",
        );
        counts.whole.write(&mut text, "muse_text_seconds", "From the request to the end of the text.");
        text
    }
}
