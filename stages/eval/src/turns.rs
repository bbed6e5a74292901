//! A question with all that stands before it, in turns: as one text, or as the model's chat template writes them. The rules are those of
//! lm-evaluation-harness.
use muse_artifacts::corpus::{Message, MessageRef};
use muse_artifacts::tokenizer::Tokenizer;
use muse_inference::{Pair, encode};
use muse_stage::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How questions become a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Chat {
    /// Each example is a question of the user's and an answer of the assistant's.
    Turns,
    /// The examples and the question are one turn of the user's.
    OneTurn,
}

/// What somebody says before the answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) role: &'static str,
    pub(crate) said: String,
    /// What parts it from the next, where both stand in one text.
    pub(crate) behind: String,
}

/// All that stands before an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prompt {
    Text(String),
    Chat(Vec<Message>),
}

impl Turn {
    pub(crate) fn new(role: &'static str, said: String, behind: &str) -> Self {
        Self { role, said, behind: behind.to_owned() }
    }
}

impl Prompt {
    /// Turns, of which the last is the question.
    pub(crate) fn of(chat: Option<Chat>, turns: Vec<Turn>) -> Self {
        let text = |turns: &[Turn]| {
            let last = turns.len().saturating_sub(1);
            let parts = turns.iter().enumerate();
            parts.map(|(at, turn)| turn.said.clone() + if at < last { &turn.behind } else { "" }).collect()
        };
        let message = |role: &str, content| Message { role: role.to_owned(), content, extra: None };
        match chat {
            None => Self::Text(text(&turns)),
            Some(Chat::Turns) => {
                Self::Chat(turns.into_iter().map(|turn| message(turn.role, turn.said)).collect())
            }
            Some(Chat::OneTurn) => {
                let system = turns.iter().take_while(|turn| turn.role == "system").count();
                let (system, turns) = turns.split_at(system);
                let mut all: Vec<Message> =
                    system.iter().map(|turn| message(turn.role, turn.said.clone())).collect();
                all.push(message("user", text(turns)));
                Self::Chat(all)
            }
        }
    }

    /// A choice behind it. In a chat nothing parts them: the template has written all that stands before an answer.
    pub(crate) fn pair(
        &self,
        tokenizer: &Tokenizer,
        delimiter: &str,
        choice: &str,
    ) -> muse_inference::Result<Pair> {
        match self {
            Self::Text(text) => Pair::of(tokenizer, text, &format!("{delimiter}{choice}")),
            Self::Chat(messages) => Pair::of_chat(tokenizer, &borrowed(messages), choice),
        }
    }

    /// Its tokens.
    pub(crate) fn ids(&self, tokenizer: &Tokenizer) -> muse_inference::Result<Vec<u32>> {
        match self {
            Self::Text(text) => encode(tokenizer, text),
            Self::Chat(messages) => Ok(tokenizer.encode_prompt(&borrowed(messages))?),
        }
    }

    /// As reports have it: a text, or turns.
    pub(crate) fn told(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Chat(messages) => {
                messages.iter().map(|one| json!({ "role": one.role, "content": one.content })).collect()
            }
        }
    }
}

/// What the system says and what a task says of itself, as one.
pub(crate) fn joined(system: &str, description: String, delimiter: &str) -> String {
    let parted = system.ends_with(char::is_whitespace) || description.starts_with(char::is_whitespace);
    match (system, description.as_str()) {
        ("", _) => description,
        (_, "") => system.to_owned(),
        _ if parted => system.to_owned() + &description,
        _ => format!("{system}{delimiter}{description}"),
    }
}

fn borrowed(messages: &[Message]) -> Vec<MessageRef<'_>> {
    messages.iter().map(Message::borrow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Vec<Turn> {
        let turn = |role, said: &str, behind| Turn::new(role, said.to_owned(), behind);
        vec![
            turn("system", "Be brief.", ""),
            turn("user", "1 + 1?", " "),
            turn("assistant", "2", "\n\n"),
            turn("user", "2 + 2?", " "),
        ]
    }

    #[test]
    fn a_question_is_a_text_turns_or_one_turn() {
        let told = |chat| Prompt::of(chat, turns()).told();
        assert_eq!(told(None), "Be brief.1 + 1? 2\n\n2 + 2?");
        let system = json!({ "role": "system", "content": "Be brief." });
        let one = json!({ "role": "user", "content": "1 + 1? 2\n\n2 + 2?" });
        assert_eq!(told(Some(Chat::OneTurn)), json!([system, one]));
        let [asked, answered, asks] = [("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")]
            .map(|(role, content)| json!({ "role": role, "content": content }));
        assert_eq!(told(Some(Chat::Turns)), json!([system, asked, answered, asks]));
    }

    #[test]
    fn what_the_system_says_stands_before_what_a_task_says() {
        let of = |system, description: &str| joined(system, description.to_owned(), "\n\n");
        assert_eq!([of("", "d"), of("s", ""), of("", "")], ["d", "s", ""]);
        assert_eq!([of("s", "d"), of("s ", "d"), of("s", "\nd")], ["s\n\nd", "s d", "s\nd"]);
    }
}
