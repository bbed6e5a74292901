//! What a call of muse printed and how it ended, with the readings of it that tests need.
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;

/// One finished call.
pub(crate) struct Output {
    words: Vec<String>,
    /// The exit code; 128 and the signal where there was one, as shells count.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One stage of `plan --json`.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) action: String,
    /// The whole causes, as JSON.
    pub(crate) causes: Vec<Value>,
    /// The whole stage, as JSON.
    pub(crate) json: Value,
}

impl Planned {
    /// The key, where it is known.
    pub(crate) fn key(&self) -> Option<&str> {
        self.json["key"].as_str()
    }

    /// The kinds of the causes with the field they name: `param steps`, `forced`.
    pub(crate) fn why(&self) -> Vec<String> {
        let word = |cause: &Value| match cause["field"].as_str() {
            Some(field) => format!("{} {field}", cause["kind"].as_str().unwrap()),
            None => cause["kind"].as_str().unwrap().to_owned(),
        };
        self.causes.iter().map(word).collect()
    }
}

impl Output {
    pub(crate) fn new(words: Vec<String>, said: std::process::Output) -> Self {
        let code = said.status.code().unwrap_or_else(|| 128 + said.status.signal().unwrap_or_default());
        let text = |bytes| String::from_utf8(bytes).expect("muse prints UTF-8");
        Self { words, code, stdout: text(said.stdout), stderr: text(said.stderr) }
    }

    /// Fails the test unless the call ended with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ends(0)
    }

    /// Fails the test unless the call ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "muse {}\n{self}", self.words.join(" "));
        self
    }

    /// Fails the test unless this stands on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} from muse {}\n{self}", self.words.join(" "));
        self
    }

    /// Fails the test unless this stands on standard output.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} from muse {}\n{self}", self.words.join(" "));
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("muse {}: {error}\n{self}", self.words.join(" ")))
    }

    /// Standard output as one JSON object a line.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let read = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("muse {}: {error}: {line}\n{self}", self.words.join(" ")))
        };
        self.stdout.lines().map(read).collect()
    }

    /// The events of one kind.
    #[track_caller]
    pub(crate) fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// By stage, how it ended: `hit`, `ran`, `failed`, `blocked`, `interrupted`.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ended = self.events_of("stage_finished");
        ended.iter().map(|event| (text(&event["stage"]), text(&event["outcome"]))).collect()
    }

    /// The stages that ended in this way, in the order of their names.
    #[track_caller]
    pub(crate) fn stages(&self, outcome: &str) -> Vec<String> {
        self.outcomes().into_iter().filter(|(_, ended)| ended == outcome).map(|(stage, _)| stage).collect()
    }

    /// The stages that ran, in the order of their names.
    #[track_caller]
    pub(crate) fn ran(&self) -> Vec<String> {
        self.stages("ran")
    }

    /// The stages of `plan --json` by name.
    #[track_caller]
    pub(crate) fn plan(&self) -> BTreeMap<String, Planned> {
        let json = self.json();
        let stage = |stage: &Value| {
            let action = stage["action"].as_str().unwrap().to_owned();
            let causes = stage["causes"].as_array().cloned().unwrap_or_default();
            (stage["name"].as_str().unwrap().to_owned(), Planned { action, causes, json: stage.clone() })
        };
        json["stages"].as_array().unwrap().iter().map(stage).collect()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit code: {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}\n{}", text.trim_end_matches('\n'))?;
            }
        }
        Ok(())
    }
}
