//! Chat templates: jinja as `transformers` reads it, and where in what they write the assistant speaks.
use crate::corpus::MessageRef;
use crate::{ArtifactError, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, State, Value as Jinja};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// The template of tokenizers that name none: `<|im_start|>role`, what was said, `<|im_end|>`.
pub const CHATML: &str = "\
{% for message in messages %}
{{ '<|im_start|>' + message.role + '\\n' -}}
{% if message.role == 'assistant' %}
{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}
{% else %}
{{ message.content + '<|im_end|>' -}}
{% endif %}
{{- '\\n' -}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' -}}
{% endif %}
";

const NAME: &str = "chat";
const FILTER: &str = "muse_learned";
/// The marks, as a template's values: the filter finds them there.
const BEGIN: &str = "muse_begin";
const END: &str = "muse_end";

/// Characters that no text holds, to mark what a template writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// The assistant begins to speak.
    pub(super) begin: char,
    /// And ends.
    pub(super) end: char,
    /// Stands in the text of a special token that somebody said, so that it is none.
    pub(super) said: char,
}

/// A chat template, ready to be filled in.
pub(super) struct Template {
    path: PathBuf,
    /// As it was read.
    text: String,
    environment: Environment<'static>,
    /// Whether it says itself where the assistant speaks.
    pub(super) marked: bool,
}

impl Marks {
    /// Three noncharacters that do not stand in any of these texts.
    pub(super) fn apart_from<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let free = |letter: &char| texts.clone().all(|text| !text.contains(*letter));
        let mut free = ('\u{FDD0}'..='\u{FDEF}').filter(free);
        Some(Self { begin: free.next()?, end: free.next()?, said: free.next()? })
    }
}

impl Template {
    /// The template of a tokenizer's folder: `chat_template.jinja`, else `chat_template` of its settings.
    pub(super) fn find(folder: &Path, config: Option<&Value>) -> Result<Option<Self>> {
        let path = folder.join("chat_template.jinja");
        match fs::read_to_string(&path) {
            Ok(text) => return Self::new(path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ArtifactError::io(&path)(error)),
        }
        let named = match config.and_then(|config| config.get("chat_template")) {
            Some(Value::String(text)) => Some(text.as_str()),
            // Several by name: the one that is called default.
            Some(Value::Array(all)) => {
                let default = all.iter().find(|one| one.get("name") == Some(&"default".into()));
                default.and_then(|one| one.get("template")?.as_str())
            }
            _ => None,
        };
        named.map(|text| Self::new(folder.join("tokenizer_config.json"), text)).transpose()
    }

    /// A template by its text; `path` is where errors say it stands.
    pub(super) fn new(path: PathBuf, text: &str) -> Result<Self> {
        let (filtered, marked) = with_blocks(text, &format!("filter {FILTER}"), "endfilter");
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| wrong(&path, &error))?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        // A result holds no time. Templates that ask for one mostly do so to name today's date.
        environment.add_function("strftime_now", |_: String| "");
        environment.add_filter(FILTER, |state: &State<'_, '_>, text: String| {
            let mark = |name| state.lookup(name).map(|mark| mark.to_string()).unwrap_or_default();
            format!("{}{text}{}", mark(BEGIN), mark(END))
        });
        environment.add_template_owned(NAME, filtered).map_err(|error| wrong(&path, &error))?;
        Ok(Self { path, text: text.to_owned(), environment, marked })
    }

    /// The template in jinja alone, for readers that know no `{% generation %}`.
    pub(super) fn plain(&self) -> String {
        with_blocks(&self.text, "if true", "endif").0
    }

    /// What the template writes for a conversation.
    pub(super) fn render(
        &self,
        messages: &[MessageRef<'_>],
        answer: bool,
        roles: &[(String, String)],
        marks: Marks,
        specials: &[(String, u32)],
    ) -> Result<String> {
        let said = |text: &str| defuse(text, specials, marks.said);
        let mut rows = Vec::with_capacity(messages.len());
        for message in messages {
            let mut row = Map::new();
            if let Some(extra) = message.extra {
                let extra: Map<String, Value> = serde_json::from_str(extra)
                    .map_err(|error| wrong(&self.path, &format!("a message's other fields: {error}")))?;
                row.extend(extra.into_iter().map(|(name, value)| (name, defuse_all(value, &said))));
            }
            row.insert("role".into(), said(message.role).into());
            row.insert("content".into(), said(message.content).into());
            rows.push(Value::Object(row));
        }
        let template = self.environment.get_template(NAME).map_err(|error| wrong(&self.path, &error))?;
        let mut values = Map::new();
        values.extend(roles.iter().map(|(role, token)| (role.clone(), Value::from(token.as_str()))));
        values.insert("messages".into(), rows.into());
        values.insert("add_generation_prompt".into(), answer.into());
        values.insert(BEGIN.into(), marks.begin.to_string().into());
        values.insert(END.into(), marks.end.to_string().into());
        let values = Jinja::from(Serde(&values));
        template.render(values).map_err(|error| wrong(&self.path, &error))
    }
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> ArtifactError {
    ArtifactError::format(path, format!("the chat template: {error}"))
}

/// Other blocks in the place of `{% generation %}`, ones that jinja has: so the rules about white space stay. And whether there
/// is one.
fn with_blocks(text: &str, begin: &str, end: &str) -> (String, bool) {
    let mut made = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, false);
    while let Some(open) = rest.find("{%") {
        let Some(close) = rest[open..].find("%}").map(|close| open + close) else { break };
        let inner = &rest[open + 2..close];
        let word =
            inner.trim_matches(|letter: char| letter.is_whitespace() || letter == '-' || letter == '+');
        let new = match word {
            "generation" => begin,
            "endgeneration" => end,
            _ => word,
        };
        found |= word == "generation";
        made.push_str(&rest[..open + 2]);
        made.push_str(&if new == word { inner.to_owned() } else { inner.replace(word, &format!(" {new} ")) });
        made.push_str("%}");
        rest = &rest[close + 2..];
    }
    made.push_str(rest);
    (made, found)
}

/// A text in which special tokens are broken by a mark.
pub(super) fn defuse(text: &str, specials: &[(String, u32)], mark: char) -> String {
    let mut text = text.to_owned();
    for (special, _) in specials {
        let first = special.chars().next().map_or(0, char::len_utf8);
        let (head, tail) = special.split_at(first);
        // Again where what was broken leaves one behind, as `##` in `###`. What has one letter cannot be broken.
        while !tail.is_empty() && text.contains(special.as_str()) {
            text = text.replace(special, &format!("{head}{mark}{tail}"));
        }
    }
    text
}

/// The same for every text of a value.
fn defuse_all(value: Value, said: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => said(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| defuse_all(item, said)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, defuse_all(value, said))).collect()
        }
        other => other,
    }
}
