//! Tests of whole downloads, against a hub on this machine that fails when it is told to.
#[path = "../../tests/support/hub.rs"]
mod server;

mod data;
mod golden;
mod http;
mod hub;

use crate::hub::Hub as Repository;
use crate::net::{Clock, Patience, Token, Web};
use crate::params::Params;
use crate::{Download, source};
use muse_artifacts::corpus::{Body, Corpus};
use muse_stage::{Context, Job, JobMode, Stage, StageError, StageEvent, StageKind};
use serde_json::{Value, json};
use server::Hub;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A hub, a folder, and a clock that does not wait.
pub(super) struct Bench {
    pub(super) hub: Hub,
    pub(super) folder: tempfile::TempDir,
    pub(super) waits: Arc<Mutex<Vec<u64>>>,
    pub(super) events: Arc<Mutex<Vec<StageEvent>>>,
    pub(super) pins: Value,
    pub(super) token: Option<&'static str>,
    pub(super) offline: bool,
    pub(super) threads: u32,
    /// The stage is told to stop while it waits.
    pub(super) stops: bool,
    runs: Cell<usize>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            hub: Hub::start(),
            folder: tempfile::tempdir().unwrap(),
            waits: Arc::default(),
            events: Arc::default(),
            pins: json!({}),
            token: None,
            offline: false,
            threads: 2,
            stops: false,
            runs: Cell::new(0),
        }
    }

    pub(super) fn resume(&self) -> PathBuf {
        self.folder.path().join("resume")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join(format!("work{}", self.runs.get()))
    }

    /// The folder of the last run's output.
    pub(super) fn out(&self, name: &str) -> PathBuf {
        self.work().join("out").join(name)
    }

    fn context(&self, params: &Value) -> Context {
        self.runs.set(self.runs.get() + 1);
        let work = self.work();
        std::fs::create_dir_all(work.join("out")).unwrap();
        let events = Arc::clone(&self.events);
        let pins = self.pins.as_object().unwrap().iter();
        let job = Job {
            job: 1,
            mode: JobMode::Run,
            kind: "download".into(),
            plugin: None,
            version: Download::VERSION,
            stage: "s".into(),
            key: String::new(),
            attempt: 1,
            params: params.clone(),
            work,
            inputs: Default::default(),
            outputs: Default::default(),
            resume: Some(self.resume()),
            offer: None,
            story: None,
            threads: self.threads,
            gpus: Vec::new(),
            pins: pins.map(|(id, value)| (id.clone(), value.as_str().unwrap().to_owned())).collect(),
            secrets: Vec::new(),
        };
        Context::new(job, Arc::default(), move |event| events.lock().unwrap().push(event.clone()))
    }

    pub(super) fn patience(&self) -> Patience {
        let (waits, stop) = (Arc::clone(&self.waits), Arc::new(AtomicBool::new(false)));
        let (stops, told) = (self.stops, Arc::clone(&stop));
        let clock: Clock = Arc::new(move |wait| {
            waits.lock().unwrap().push(wait.as_secs());
            told.store(stops, Ordering::Relaxed);
        });
        Patience::with_clock(stop, clock)
    }

    pub(super) fn web(&self) -> Arc<Web> {
        Arc::new(Web::new(Some((&self.hub.url(), None)), self.patience(), self.offline).unwrap())
    }

    /// Runs a stage. What went wrong comes as its message and its hint.
    pub(super) fn run(&self, params: Value) -> Result<(), String> {
        let typed: Params = serde_json::from_value(params.clone()).unwrap();
        Download.check_json(&params).map_err(|error| format!("{}: {}", error.pointer, error.message))?;
        let mut context = self.context(&params);
        let end = match typed.source {
            crate::Source::Hub => {
                let token = self.token.map(Token::new);
                Repository::of(&typed, &self.hub.url(), token, self.patience(), self.offline)
                    .map_err(StageError::from)
                    .and_then(|hub| source::hub::run_by(&hub, &mut context, &typed))
            }
            crate::Source::Http => source::http::run_by(&self.web(), &mut context, &typed),
            _ => Download.run_json(&mut context, params),
        };
        end.map_err(said)
    }

    /// Runs a stage and gives its documents: text, or `role: content {extra}` a message; `source|` before.
    pub(super) fn documents(&self, params: Value) -> Result<Vec<String>, String> {
        self.run(params)?;
        let corpus = Corpus::open(&self.out("corpus")).unwrap();
        let mut documents = Vec::new();
        for batch in corpus.batches() {
            for document in batch.unwrap().iter() {
                let document = document.to_owned();
                let body = match document.body {
                    Body::Text(text) => text,
                    Body::Chat(messages) => messages
                        .iter()
                        .map(|m| format!("{}: {} {}", m.role, m.content, m.extra.as_deref().unwrap_or("-")))
                        .collect::<Vec<_>>()
                        .join("\n"),
                };
                documents.push(format!("{}|{body}", document.source));
            }
        }
        Ok(documents)
    }

    /// The last run's report.
    pub(super) fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.out("corpus").join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// A figure that was told.
    pub(super) fn metric(&self, wanted: &str) -> Option<f64> {
        let events = self.events.lock().unwrap();
        events.iter().rev().find_map(|event| match event {
            StageEvent::Metric { name, value, .. } if name == wanted => Some(*value),
            _ => None,
        })
    }

    /// What was told of the last run's result.
    pub(super) fn facts(&self) -> Value {
        let events = self.events.lock().unwrap();
        let facts = events.iter().filter_map(|event| match event {
            StageEvent::Fact { name, value } => Some((name.clone(), value.clone())),
            _ => None,
        });
        facts.collect()
    }

    pub(super) fn pin(&self, url: &str) -> Result<String, String> {
        source::http::pin_by(&self.web(), &mut self.context(&json!({})), url).map_err(said)
    }
}

fn said(error: StageError) -> String {
    match error {
        StageError::Failed { message, help: Some(help) } => format!("{message}; {help}"),
        other => other.to_string(),
    }
}
