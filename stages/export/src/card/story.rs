//! How a model was made, and what a card says of that: the data with its licences, and every stage with its parameters.
use super::table;
use muse_stage::{Story, Told};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a licence allows, as far as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Licence {
    Named,
    NonCommercial,
    Unknown,
}

/// The data, and what its licences say. Empty where no stage brought any in.
pub(super) fn data(story: &Story) -> String {
    let brings = |told: &&Told| told.kind == "download" || told.facts.contains_key("licence");
    let rows: Vec<_> = story.stages.iter().filter(brings).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let licences: Vec<_> = rows.iter().map(|(_, licence)| *licence).collect();
    let rows = rows.into_iter().map(|(row, _)| row);
    let mut text = table("Data", ["stage", "source", "licence"], rows);
    if licences.contains(&Licence::NonCommercial) {
        text += "> **Not for commercial use.** Some of the data is under a licence that forbids commercial use, which may \
                 bind the model too.\n\n";
    }
    if licences.contains(&Licence::Unknown) {
        text += "> The licence of some of the data is not known: look it up where the data is from before the model is \
                 passed on.\n\n";
    }
    text
}

/// Every stage, in an order in which they can be made.
pub(super) fn stages(story: &Story) -> String {
    let mut text = String::from(
        "## How it was made\n\nEach stage with its key, which is the hash of all that its result depends on; parameters \
         at their default are left out.\n\n",
    );
    let name = |stage: usize| {
        let kind = story.stages.get(stage).map_or("?", |told| told.kind.as_str());
        format!("{}. {kind}", stage + 1)
    };
    for (at, told) in story.stages.iter().enumerate() {
        _ = writeln!(text, "### {} (version {})\n\nkey `{}`\n", name(at), told.version, told.key);
        let mut lines = Vec::new();
        for (port, origins) in &told.inputs {
            let from = origins.iter().map(|origin| format!("{}, `{}`", name(origin.stage), origin.output));
            lines.push(format!("- `{port}`: {}\n", from.collect::<Vec<_>>().join("; ")));
        }
        lines.extend(told.pins.iter().map(|(id, value)| format!("- pinned: `{id}` is `{value}`\n")));
        if told.adopted {
            lines.push("- put in by a person, and not made by the stage\n".into());
        }
        if !lines.is_empty() {
            text += &(lines.concat() + "\n");
        }
        if told.params.as_object().is_some_and(|params| !params.is_empty()) {
            text += &fenced(&pretty(&told.params));
        }
    }
    text
}

/// A row of the data.
fn row(told: &Told) -> ([String; 3], Licence) {
    let source = told.facts.get("source").map_or_else(|| "not told".into(), shown);
    let licence = told.facts.get("licence").and_then(Value::as_str).filter(|licence| !licence.is_empty());
    let (said, licence) = match licence {
        Some(name) if is_non_commercial(name) => {
            (format!("**{name}**, not for commercial use"), Licence::NonCommercial)
        }
        Some("unknown" | "other") | None => ("not known".to_owned(), Licence::Unknown),
        Some(name) => (name.to_owned(), Licence::Named),
    };
    ([told.kind.clone(), source, said], licence)
}

/// A fact as a cell shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let parts = fields.into_iter().map(|(name, value)| format!("{name} {}", shown(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Whether a licence's name says that commerce is left out: `cc-by-nc-4.0`.
fn is_non_commercial(licence: &str) -> bool {
    let name = licence.to_ascii_lowercase();
    let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| matches!(word, "nc" | "noncommercial" | "research")) || name.contains("non-commercial")
}

/// A block of code, whatever stands in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}json\n{text}\n{fence}\n\n")
}

/// JSON with fields by their names, whatever order the library keeps them in.
fn pretty(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<_, _> =
                    fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
                fields.into_iter().collect()
            }
            Value::Array(all) => all.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    serde_json::to_string_pretty(&sorted(value)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use muse_stage::Origin;
    use serde_json::json;

    fn told(kind: &str, params: Value, facts: Value) -> Told {
        Told {
            kind: kind.into(),
            version: 1,
            key: format!("k1:{kind}"),
            params,
            pins: BTreeMap::new(),
            facts: serde_json::from_value(facts).unwrap(),
            adopted: false,
            inputs: BTreeMap::new(),
        }
    }

    fn of(stages: Vec<Told>) -> Story {
        Story { stages, ..Story::default() }
    }

    pub(crate) fn story() -> Story {
        let hub = json!({ "source": { "hub": "a/b", "commit": "c0ffee" }, "licence": "cc-by-nc-4.0" });
        let mut web = told("download", json!({}), json!({ "source": { "urls": ["x", "y"] } }));
        web.pins.insert("x".into(), "b3:1".into());
        let mut clean = told("clean", json!({ "z": 1, "a": "```" }), json!({}));
        let origin = |stage| Origin { name: format!("{stage}"), stage, output: "corpus".into() };
        (clean.adopted, clean.inputs) = (true, [("corpus".to_owned(), vec![origin(0), origin(1)])].into());
        of(vec![told("download", json!({ "repo": "a/b" }), hub), web, clean])
    }

    #[test]
    fn data_is_listed_with_what_its_licences_forbid() {
        let text = data(&story());
        assert!(
            text.contains("| download | commit c0ffee, hub a/b | **cc-by-nc-4.0**, not for commercial use |"),
            "{text}"
        );
        assert!(text.contains("| download | urls x, y | not known |"), "{text}");
        assert!(text.contains("Not for commercial use") && text.contains("look it up"));
        let free = json!({ "source": "synthetic", "licence": "MIT" });
        let free = data(&of(vec![told("download", json!({}), free)]));
        assert!(free.ends_with("| download | synthetic | MIT |\n\n"), "{free}");
        assert_eq!(data(&of(vec![told("clean", json!({}), json!({}))])), "");
    }

    #[test]
    fn licences_are_read_by_their_words() {
        for forbids in
            ["cc-by-nc-4.0", "CC BY-NC-SA 3.0", "Non-Commercial", "intel-research", "noncommercial"]
        {
            assert!(is_non_commercial(forbids), "{forbids}");
        }
        for allows in ["mit", "apache-2.0", "cc-by-4.0", "openrail", "cnc"] {
            assert!(!is_non_commercial(allows), "{allows}");
        }
    }

    #[test]
    fn stages_stand_with_all_that_makes_their_key() {
        let text = stages(&story());
        for part in [
            "### 1. download (version 1)\n\nkey `k1:download`\n\n```json\n{\n  \"repo\": \"a/b\"\n}\n```\n",
            "- pinned: `x` is `b3:1`\n",
            "- `corpus`: 1. download, `corpus`; 2. download, `corpus`\n",
            "- put in by a person, and not made by the stage\n",
            // Fields by their names, and a fence that what stands within does not end.
            "````json\n{\n  \"a\": \"```\",\n  \"z\": 1\n}\n````\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
