//! What a run says while it goes. Bars, plain lines, `--json` and the run's own record all read these.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in UTC, as `2026-01-31T12:00:00.123Z`.
    pub time: String,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The plan is made and work begins.
    RunStarted {
        /// The run's name: its folder below `runs/`.
        run: String,
        /// The pipeline's name.
        pipeline: String,
        /// The pipeline's file.
        #[serde(default)]
        file: String,
        /// Stages that are wanted.
        stages: usize,
        /// Stages that will or may run.
        work: usize,
        /// Input files of all wanted stages.
        #[serde(default)]
        files: usize,
        /// How many of them were read again, because the stat index did not vouch for them.
        #[serde(default)]
        hashed: usize,
    },
    /// Before the plan: what an outside thing is today is looked up, which for a URL means fetching it.
    Pinning {
        /// The stage.
        stage: String,
        /// The outside thing.
        id: String,
    },
    /// The lock file has it now.
    Pinned {
        /// The stage.
        stage: String,
        /// The outside thing.
        id: String,
        /// What it is pinned to.
        value: String,
    },
    /// Another process makes this key; the stage waits for it.
    StageWaiting {
        /// The stage.
        stage: String,
        /// Its key.
        key: String,
        /// Who holds it: user, host, process, since when.
        holder: String,
    },
    /// An attempt begins.
    StageStarted {
        /// The stage.
        stage: String,
        /// Its key.
        key: String,
        /// From 1.
        attempt: u32,
    },
    /// How far a stage is.
    Progress {
        /// The stage.
        stage: String,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What a unit is.
        unit: String,
    },
    /// A figure.
    Metric {
        /// The stage.
        stage: String,
        /// Where in the work.
        step: u64,
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
    },
    /// Something that people should know: a damaged result that is made again, a retry.
    Note {
        /// The stage it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<String>,
        /// One sentence.
        message: String,
    },
    /// A stage is over.
    StageFinished {
        /// The stage.
        stage: String,
        /// How it ended.
        outcome: Outcome,
        /// How long it took here; for a hit how long it took when it was made.
        seconds: f64,
        /// Its key, where it came to have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// What it made.
        outputs: BTreeMap<String, OutputInfo>,
        /// Why it failed, or what blocked it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        help: Option<String>,
        /// Its log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<String>,
    },
    /// The run is over.
    RunFinished {
        /// How it ended.
        outcome: RunOutcome,
        /// Stages that ran.
        ran: usize,
        /// Stages whose results were there.
        hit: usize,
        /// Stages that failed.
        failed: usize,
        /// Stages that a failure kept from running.
        blocked: usize,
        /// How long the run took.
        seconds: f64,
        /// How long the hits took when they were made.
        saved_seconds: f64,
    },
}

/// A result as events tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// The digest of its content.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its result was there.
    Hit,
    /// It ran, and its result is there.
    Ran,
    /// It ran and made no result.
    Failed,
    /// Something it needs failed.
    Blocked,
    /// It was told to stop.
    Interrupted,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// All that was wanted is there.
    Done,
    /// Something failed.
    Failed,
    /// It was told to stop.
    Interrupted,
}
