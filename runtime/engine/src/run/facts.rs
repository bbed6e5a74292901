//! What a stage says of its result, as the record takes it: little, and flat enough to be read again.
use serde_json::Value;
use std::collections::BTreeMap;

/// All facts of a record together, in bytes of their names and of their values as JSON.
const ROOM: usize = 64 << 10;

/// How deep a value may be nested. What reads records and job files has a limit of its own, far beyond.
const DEPTH: usize = 16;

/// The facts of one attempt.
#[derive(Default)]
pub(super) struct Facts {
    told: BTreeMap<String, Value>,
    bytes: usize,
    refused: Option<String>,
}

impl Facts {
    /// Takes one in; of a name that comes twice the last value counts. After one that is refused there are no more.
    pub(super) fn hear(&mut self, name: String, value: Value) {
        if self.refused.is_some() {
            return;
        }
        if !within(&value, DEPTH) {
            self.refused = Some(format!("the fact `{name}` is nested more than {DEPTH} deep"));
            return;
        }
        self.bytes += size(&name, &value);
        self.bytes -= self.told.get(&name).map_or(0, |old| size(&name, old));
        if self.bytes > ROOM {
            let room = ROOM >> 10;
            self.refused =
                Some(format!("its facts take more than the {room} KiB of a record, with `{name}`"));
            return;
        }
        self.told.insert(name, value);
    }

    /// All of them, or what is wrong.
    pub(super) fn finish(self) -> Result<BTreeMap<String, Value>, String> {
        self.refused.map_or(Ok(self.told), Err)
    }
}

fn size(name: &str, value: &Value) -> usize {
    name.len() + value.to_string().len()
}

fn within(value: &Value, depth: usize) -> bool {
    let Some(inner) = depth.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| within(item, inner)),
        Value::Object(fields) => fields.values().all(|field| within(field, inner)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(
        facts: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<BTreeMap<String, Value>, String> {
        let mut all = Facts::default();
        facts.into_iter().for_each(|(name, value)| all.hear(name.into(), value));
        all.finish()
    }

    #[test]
    fn the_last_word_counts() {
        let facts = told([("a", json!(1)), ("b", json!([])), ("a", json!({ "x": 2.5 }))]).unwrap();
        assert_eq!(facts, [("a".into(), json!({ "x": 2.5 })), ("b".into(), json!([]))].into());
    }

    #[test]
    fn a_record_has_room_for_so_much_and_no_more() {
        // A name of one byte, and a text with its two quotes.
        let text = |bytes: usize| json!("x".repeat(bytes - 3));
        assert!(told([("a", text(ROOM))]).is_ok());
        assert!(told([("a", text(ROOM)), ("a", text(9)), ("b", text(ROOM - 9))]).is_ok());
        let error = told([("a", text(ROOM - 9)), ("b", text(10)), ("c", json!(1))]).unwrap_err();
        assert!(error.contains("64 KiB") && error.contains("`b`"), "{error}");
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |levels: usize| (1..levels).fold(json!(1), |value, _| json!([value]));
        assert!(told([("a", nested(DEPTH))]).is_ok());
        let error = told([("a", nested(DEPTH + 1))]).unwrap_err();
        assert!(error.contains("`a`") && error.contains("16 deep"), "{error}");
    }
}
