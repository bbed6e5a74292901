//! What the columns of a data set are read as: found by their names, or named.
use muse_stage::StageError;

/// Names of columns that hold conversations.
const MESSAGES: &[&str] = &["messages", "conversations", "conversation"];
/// Names of columns that hold text, the likeliest first.
const TEXT: &[&str] = &["text", "content", "document", "article", "body"];
/// Pairs of a question and an answer, the likeliest first; what may stand beside the question.
const TURNS: &[(&str, &[&str], &[&str])] = &[
    ("instruction", &["input", "context"], &["output", "response", "answer", "completion"]),
    ("prompt", &["input", "context"], &["response", "completion", "output", "answer"]),
    ("question", &["context", "input"], &["answer", "response", "output"]),
    ("query", &["input", "context"], &["response", "answer", "output"]),
    ("input", &["context"], &["output"]),
];
const SYSTEM: &[&str] = &["system", "system_prompt"];
/// What was thought before the answer.
const REASONING: &[&str] = &["reasoning_content", "thinking", "reasoning"];

/// What is known of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, and how much of it in the rows that were looked at.
    Text(u64),
    /// Lists.
    List,
    /// Nothing that could be a document.
    Other,
}

/// What is read of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// A column of texts.
    Text(String),
    /// A column of conversations, with what may stand beside it.
    Messages { column: String, system: Option<String>, tools: Option<String> },
    /// Columns of questions and answers.
    Turns(Box<Turns>),
}

/// The columns of one question and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    pub(crate) ask: String,
    pub(crate) more: Option<String>,
    pub(crate) answer: String,
    pub(crate) system: Option<String>,
    pub(crate) history: Option<String>,
    pub(crate) reasoning: Option<String>,
}

impl Plan {
    /// What `columns` are read as.
    pub(crate) fn find(
        columns: &[Column],
        text: Option<&str>,
        messages: Option<&str>,
    ) -> Result<Self, StageError> {
        let there = |name: &str| columns.iter().find(|column| column.name == name);
        let any =
            |names: &[&str]| names.iter().find_map(|name| there(name)).map(|column| column.name.clone());
        let with_messages =
            |column: String| Self::Messages { column, system: any(SYSTEM), tools: any(&["tools"]) };
        if let Some(name) = text {
            return there(name).map(|_| Self::Text(name.into())).ok_or_else(|| no_column(name, columns));
        }
        if let Some(name) = messages {
            return there(name).map(|_| with_messages(name.into())).ok_or_else(|| no_column(name, columns));
        }
        let list = |name: &&&str| there(name).is_some_and(|column| column.kind == Kind::List);
        if let Some(name) = MESSAGES.iter().find(list) {
            return Ok(with_messages((*name).into()));
        }
        let is_text = |name: &str| there(name).is_some_and(|column| matches!(column.kind, Kind::Text(_)));
        let text_of = |names: &[&str]| names.iter().find(|name| is_text(name)).map(|name| (*name).to_owned());
        for (ask, more, answers) in TURNS {
            if !is_text(ask) {
                continue;
            }
            if let Some(answer) = text_of(answers) {
                return Ok(Self::Turns(Box::new(Turns {
                    ask: (*ask).into(),
                    more: text_of(more),
                    answer,
                    system: text_of(SYSTEM),
                    history: any(&["history"]),
                    reasoning: text_of(REASONING),
                })));
            }
        }
        if let Some(name) = text_of(TEXT) {
            return Ok(Self::Text(name));
        }
        let texts = columns.iter().filter_map(|column| match column.kind {
            Kind::Text(bytes) => Some((bytes, column)),
            _ => None,
        });
        // Of equals the first.
        match texts.rev().max_by_key(|(bytes, _)| *bytes) {
            Some((_, column)) => Ok(Self::Text(column.name.clone())),
            None => {
                let help = "name the column of texts by `text:`, or that of conversations by `messages:`";
                Err(StageError::new(format!("no column of texts or chats; there are: {}", list_of(columns)))
                    .help(help))
            }
        }
    }

    /// The columns that it reads.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Text(column) => vec![column],
            Self::Messages { column, system, tools } => [Some(column), system.as_ref(), tools.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            Self::Turns(turns) => {
                let Turns { ask, more, answer, system, history, reasoning } = turns.as_ref();
                let optional = [more, system, history, reasoning].into_iter().filter_map(Option::as_ref);
                [ask, answer].into_iter().chain(optional).map(String::as_str).collect()
            }
        }
    }

    /// The columns without which it reads nothing.
    pub(crate) fn needed(&self) -> Vec<&str> {
        match self {
            Self::Text(column) | Self::Messages { column, .. } => vec![column],
            Self::Turns(turns) => vec![&turns.ask, &turns.answer],
        }
    }

    /// For reports and messages.
    pub(crate) fn describe(&self) -> String {
        let kind = match self {
            Self::Text(_) => "text",
            Self::Messages { .. } | Self::Turns(_) => "chat",
        };
        format!("{kind} from {}", self.columns().join(", "))
    }
}

fn no_column(name: &str, columns: &[Column]) -> StageError {
    StageError::new(format!("no column `{name}`; there are: {}", list_of(columns)))
}

pub(crate) fn list_of(columns: &[Column]) -> String {
    if columns.is_empty() {
        return "none".into();
    }
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(columns: &[(&str, Kind)]) -> String {
        let columns: Vec<Column> =
            columns.iter().map(|(name, kind)| Column { name: (*name).into(), kind: *kind }).collect();
        Plan::find(&columns, None, None).map_or_else(|error| error.to_string(), |plan| plan.describe())
    }

    #[test]
    fn columns_are_found() {
        let text = Kind::Text(9);
        assert_eq!(find(&[("id", text), ("text", text), ("url", Kind::Text(99))]), "text from text");
        assert_eq!(
            find(&[("id", Kind::Text(3)), ("story", Kind::Text(50)), ("url", text)]),
            "text from story"
        );
        assert_eq!(find(&[("a", Kind::Text(5)), ("b", Kind::Text(5))]), "text from a");
        assert_eq!(find(&[("text", text), ("messages", Kind::List)]), "chat from messages");
        assert_eq!(find(&[("text", text), ("messages", Kind::Other)]), "text from text");
        assert_eq!(
            find(&[("output", text), ("instruction", text), ("input", text), ("text", text)]),
            "chat from instruction, output, input"
        );
        assert_eq!(
            find(&[("instruction", text), ("context", text), ("response", text), ("category", text)]),
            "chat from instruction, response, context"
        );
        assert_eq!(
            find(&[("question", text), ("answer", text), ("thinking", text)]),
            "chat from question, answer, thinking"
        );
        assert_eq!(find(&[("prompt", text), ("text", text)]), "text from text");
        assert_eq!(find(&[("n", Kind::Other)]), "no column of texts or chats; there are: n");
    }
}
