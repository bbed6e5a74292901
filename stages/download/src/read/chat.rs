//! One row of columns becomes a text or a conversation. Nothing that a conversation says is lost.
use super::plan::{Plan, Turns};
use muse_artifacts::corpus::{Body, Message};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A row: values by column.
pub(crate) type Row = Map<String, Value>;

impl Plan {
    /// The document of a row; `None` where there is nothing in it.
    pub(crate) fn document(&self, row: &Row) -> Result<Option<Body>, String> {
        match self {
            Self::Text(column) => match row.get(column) {
                Some(Value::String(text)) if text.is_empty() => Ok(None),
                Some(Value::String(text)) => Ok(Some(Body::Text(text.clone()))),
                Some(Value::Null) => Ok(None),
                Some(other) => Err(format!("`{column}` is {}, no text", what(other))),
                None => Err(lacks(column, row)),
            },
            Self::Messages { column, system, tools } => {
                let mut messages = match row.get(column) {
                    None => return Err(lacks(column, row)),
                    Some(value) => messages(value).map_err(|what| format!("`{column}`: {what}"))?,
                };
                if messages.is_empty() {
                    return Ok(None);
                }
                add_system(&mut messages, system.as_deref(), row)?;
                if let Some(tools) = tools.as_ref().and_then(|name| row.get(name)).filter(|tools| says(tools))
                {
                    let first = &mut messages[0];
                    let mut extra = first.extra.as_deref().and_then(|text| serde_json::from_str(text).ok());
                    let extra: &mut BTreeMap<String, Value> = extra.get_or_insert_default();
                    extra.insert("tools".into(), tools.clone());
                    first.extra = Some(object(extra));
                }
                Ok(Some(Body::Chat(messages)))
            }
            Self::Turns(turns) => turns.document(row),
        }
    }
}

impl Turns {
    fn document(&self, row: &Row) -> Result<Option<Body>, String> {
        let text = |column: &str| match row.get(column) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Null) => Ok(String::new()),
            Some(other) => Err(format!("`{column}` is {}, no text", what(other))),
            None => Err(lacks(column, row)),
        };
        // What is optional may be missing in a row as well.
        let optional = |column: &Option<String>| match column {
            Some(column) if row.contains_key(column) => text(column),
            _ => Ok(String::new()),
        };
        let (mut ask, more, answer) = (text(&self.ask)?, optional(&self.more)?, text(&self.answer)?);
        if ask.is_empty() && more.is_empty() && answer.is_empty() {
            return Ok(None);
        }
        if !more.is_empty() {
            if !ask.is_empty() {
                ask.push_str("\n\n");
            }
            ask.push_str(&more);
        }
        let mut messages = match self.history.as_ref().and_then(|column| row.get(column)) {
            Some(history) => pairs(history).map_err(|what| format!("`history`: {what}"))?,
            None => Vec::new(),
        };
        add_system(&mut messages, self.system.as_deref(), row)?;
        messages.push(Message::new("user", ask));
        let mut answer = Message::new("assistant", answer);
        let thought = optional(&self.reasoning)?;
        if let Some(name) = self.reasoning.as_ref().filter(|_| !thought.is_empty()) {
            answer.extra = Some(object(&BTreeMap::from([(name.clone(), thought.into())])));
        }
        messages.push(answer);
        Ok(Some(Body::Chat(messages)))
    }
}

fn add_system(messages: &mut Vec<Message>, column: Option<&str>, row: &Row) -> Result<(), String> {
    match column.and_then(|column| row.get(column)) {
        Some(Value::String(text)) if !text.is_empty() => {
            if messages.first().is_none_or(|first| first.role != "system") {
                messages.insert(0, Message::new("system", text.clone()));
            }
            Ok(())
        }
        Some(Value::String(_) | Value::Null) | None => Ok(()),
        Some(other) => Err(format!("`{}` is {}, no text", column.unwrap_or_default(), what(other))),
    }
}

/// Earlier turns: pairs of question and answer, or messages.
fn pairs(value: &Value) -> Result<Vec<Message>, String> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        other => return Err(format!("{} where a list of turns should be", what(other))),
    };
    if list.iter().all(Value::is_object) {
        return messages(value);
    }
    let mut turns = Vec::new();
    for pair in list {
        let [ask, answer] = pair.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err("a turn is no pair of question and answer".into());
        };
        for (role, text) in [("user", ask), ("assistant", answer)] {
            let text = text.as_str().ok_or_else(|| format!("a turn has {}, no text", what(text)))?;
            turns.push(Message::new(role, text));
        }
    }
    Ok(turns)
}

/// The messages of a conversation, `{role, content}` or `{from, value}`.
fn messages(value: &Value) -> Result<Vec<Message>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, value)| message(value).map_err(|what| format!("message {}: {what}", at + 1)))
            .collect(),
        // Some files hold the list as JSON in a text.
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => messages(&list),
            _ => Err("a text where a list of messages should be".into()),
        },
        other => Err(format!("{} where a list of messages should be", what(other))),
    }
}

fn message(value: &Value) -> Result<Message, String> {
    let Value::Object(fields) = value else { return Err(format!("{}, no object", what(value))) };
    let first = |names: [&'static str; 2]| names.into_iter().find(|name| fields.contains_key(*name));
    let Some(role_key) = first(["role", "from"]) else {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        return Err(format!("neither `role` nor `from`; it has: {}", names.join(", ")));
    };
    let Some(Value::String(role)) = fields.get(role_key) else {
        return Err(format!("`{role_key}` is no text"));
    };
    let role = match role.as_str() {
        "human" => "user",
        "gpt" | "chatgpt" | "bot" | "model" => "assistant",
        other => other,
    };
    let content_key = first(["content", "value"]);
    let content = match content_key.and_then(|key| fields.get(key)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().map(part).collect::<Result<_, _>>()?,
        Some(other) => return Err(format!("its content is {}, no text", what(other))),
    };
    let extra: BTreeMap<String, Value> = fields
        .iter()
        .filter(|(name, value)| *name != role_key && Some(name.as_str()) != content_key && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let extra = (!extra.is_empty()).then(|| object(&extra));
    Ok(Message { role: role.into(), content, extra })
}

/// A part of a content that is a list.
fn part(value: &Value) -> Result<String, String> {
    match (value, value["type"].as_str()) {
        (Value::String(text), _) => Ok(text.clone()),
        (Value::Object(fields), Some("text")) | (Value::Object(fields), None) => {
            let text = fields.get("text").and_then(Value::as_str);
            text.map(str::to_owned).ok_or_else(|| "a part of its content has no text".into())
        }
        (_, kind) => Err(format!("a part of its content is no text but `{}`", kind.unwrap_or("?"))),
    }
}

fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

/// An object as JSON with its keys in order: the same whatever wrote it.
fn object(fields: &BTreeMap<String, Value>) -> String {
    let sorted: BTreeMap<&String, Value> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
    serde_json::to_string(&sorted).unwrap_or_default()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn lacks(column: &str, row: &Row) -> String {
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    format!(
        "no field `{column}`; it has: {}",
        if names.is_empty() { "none".into() } else { names.join(", ") }
    )
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::plan::{Column, Kind};
    use serde_json::json;

    /// Finds a plan for one row and reads it: `role: content {extra}` a line.
    fn read(row: Value) -> Result<String, String> {
        let Value::Object(row) = row else { panic!() };
        let kind = |value: &Value| match value {
            Value::String(text) => Kind::Text(text.len() as u64),
            Value::Array(_) => Kind::List,
            _ => Kind::Other,
        };
        let columns: Vec<Column> =
            row.iter().map(|(name, value)| Column { name: name.clone(), kind: kind(value) }).collect();
        let plan = Plan::find(&columns, None, None).map_err(|error| error.to_string())?;
        Ok(match plan.document(&row)? {
            None => "nothing".into(),
            Some(Body::Text(text)) => text,
            Some(Body::Chat(messages)) => messages
                .iter()
                .map(|m| {
                    format!(
                        "{}: {}{}",
                        m.role,
                        m.content,
                        m.extra.as_ref().map(|e| format!(" {e}")).unwrap_or_default()
                    )
                })
                .collect::<Vec<_>>()
                .join("|"),
        })
    }

    #[test]
    fn no_field_of_a_conversation_is_lost() {
        assert_eq!(
            read(json!({ "instruction": "translate", "input": "犬", "output": "dog", "id": 3 })).unwrap(),
            "user: translate\n\n犬|assistant: dog"
        );
        assert_eq!(
            read(json!({ "instruction": "sing", "input": "", "output": "la", "system": "you are a bird",
                         "history": [["hi", "peep"]], "reasoning_content": "a song" }))
            .unwrap(),
            "system: you are a bird|user: hi|assistant: peep|user: sing|assistant: la {\"reasoning_content\":\"a song\"}"
        );
        assert_eq!(
            read(json!({ "conversations": [{ "from": "human", "value": "a", "weight": 0 }, { "from": "gpt", "value": "b" }],
                         "system": "s" }))
            .unwrap(),
            "system: s|user: a {\"weight\":0}|assistant: b"
        );
        let call = json!([{ "function": { "name": "f", "arguments": "{}" }, "id": "1" }]);
        assert_eq!(
            read(json!({ "tools": [{ "z": 1, "a": 2 }], "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "x" }, { "type": "text", "text": "y" }] },
                { "role": "assistant", "content": null, "tool_calls": call, "thinking": "t" },
                { "role": "tool", "content": "4", "name": "f" }] }))
            .unwrap(),
            "user: xy {\"tools\":[{\"a\":2,\"z\":1}]}\
             |assistant:  {\"thinking\":\"t\",\"tool_calls\":[{\"function\":{\"arguments\":\"{}\",\"name\":\"f\"},\"id\":\"1\"}]}\
             |tool: 4 {\"name\":\"f\"}"
        );
        assert_eq!(read(json!({ "question": "q", "answer": "a" })).unwrap(), "user: q|assistant: a");
        assert_eq!(read(json!({ "prompt": "q", "completion": "a" })).unwrap(), "user: q|assistant: a");
        assert_eq!(read(json!({ "messages": [] })).unwrap(), "nothing");
    }

    #[test]
    fn what_is_no_conversation_says_why() {
        let wrong = |row| read(row).unwrap_err();
        assert_eq!(
            wrong(json!({ "messages": [{ "role": "user", "content": "x" }, { "content": "y" }] })),
            "`messages`: message 2: neither `role` nor `from`; it has: content"
        );
        assert_eq!(
            wrong(json!({ "messages": [{ "role": "user", "content": [{ "type": "image" }] }] })),
            "`messages`: message 1: a part of its content is no text but `image`"
        );
        assert_eq!(wrong(json!({ "messages": [7] })), "`messages`: message 1: a number, no object");
        let plan = Plan::Text("text".into());
        let Value::Object(row) = json!({ "body": "x", "title": "y" }) else { panic!() };
        assert_eq!(plan.document(&row).unwrap_err(), "no field `text`; it has: body, title");
    }
}
