//! A line of `metrics.jsonl`: what was told of a step in one go.
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Names that a line has for itself; a figure of such a name gets an underscore behind it.
const OWN: [&str; 3] = ["step", "time", "attempt"];

/// What was told of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) step: u64,
    /// When the first of it was told.
    pub(super) time: String,
    pub(super) attempt: u32,
    /// In the order in which it was told.
    pub(super) values: Vec<(String, f64)>,
}

impl Row {
    pub(super) fn new(step: u64, time: &str, attempt: u32) -> Self {
        Self { step, time: time.to_owned(), attempt, values: Vec::new() }
    }

    /// Whether a figure belongs into this line: it is of the same step, and the first of its name.
    pub(super) fn takes(&self, step: u64, name: &str) -> bool {
        self.step == step && self.value(name).is_none()
    }

    pub(super) fn add(&mut self, name: &str, value: f64) {
        let name = if OWN.contains(&name) { format!("{name}_") } else { name.to_owned() };
        self.values.push((name, value));
    }

    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The line, with its end.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// A line read back; nothing where a crash cut it.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told {
            step: u64,
            time: String,
            attempt: Option<u32>,
            #[serde(flatten)]
            values: BTreeMap<String, f64>,
        }
        let told: Told = serde_json::from_slice(line).ok()?;
        let values = told.values.into_iter().collect();
        Some(Self { step: told.step, time: told.time, attempt: told.attempt.unwrap_or(1), values })
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("step", &self.step)?;
        line.serialize_entry("time", &self.time)?;
        if self.attempt > 1 {
            line.serialize_entry("attempt", &self.attempt)?;
        }
        for (name, value) in &self.values {
            line.serialize_entry(name, value)?;
        }
        line.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_a_step_and_is_read_back() {
        let mut row = Row::new(20, "2026-01-31T12:00:00.000Z", 2);
        for (name, value) in [("loss", 3.25), ("lr", 0.0003), ("time", 7.0)] {
            assert!(row.takes(20, name));
            row.add(name, value);
        }
        assert!(!row.takes(21, "val_loss") && !row.takes(20, "loss"), "another step, a second value");
        let line = row.line();
        let text = r#"{"step":20,"time":"2026-01-31T12:00:00.000Z","attempt":2,"loss":3.25,"lr":0.0003,"time_":7.0}"#;
        assert_eq!(String::from_utf8(line.clone()).unwrap(), format!("{text}\n"));
        assert_eq!(Row::read(&line).unwrap(), row);
        assert_eq!(Row::read(&line[..40]), None);
    }
}
