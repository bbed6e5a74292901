//! What a running stage says: one JSON object a line on its standard output.
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line from a stage process to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StageEvent {
    /// How far it is.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// What a unit is: `tokens`, `bytes`, `documents`.
        unit: String,
    },
    /// A figure.
    Metric {
        /// Where in the work it was read.
        step: u64,
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
    },
    /// Something small that is true of the result, such as the licence of what was downloaded. It stands in the result's
    /// record, and is no part of any key. Like the result it must be the same every time: no time, no speed, no path.
    /// Each attempt tells all of its facts; of a name that is told twice the last value counts. All facts of a result
    /// together may take 64 KiB as JSON, and each may be nested 16 deep; more fails the stage.
    Fact {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// The answer to a pin job: what an outside thing is today.
    Pinned {
        /// As the stage named it.
        id: String,
        /// The commit, digest or other fixed name.
        value: String,
    },
    /// All outputs are in place. The last line.
    Done,
    /// There is no result. The last line.
    Failed {
        /// What happened.
        message: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        help: Option<String>,
    },
    /// It was told to stop and did. The last line.
    Interrupted,
}
