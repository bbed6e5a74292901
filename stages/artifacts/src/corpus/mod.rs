//! A corpus: texts and chats in parquet, each with its source. docs/formats/corpus.md draws it.
//!
//! A folder with `00000.parquet`, `00001.parquet`, … and `report.json`. Every row has a `source` and either a `text` or
//! `messages`. Row groups are small, so that readers hold little and share the work; nothing in a file tells when, where
//! or by whom it was written.
mod reader;
mod schema;
mod writer;

pub use reader::{Batch, BodyRef, Corpus, DocumentRef, MessageRef, Piece};
pub use writer::{CorpusWriter, Totals};

/// One document of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// What it holds.
    pub body: Body,
    /// Where it is from: the name that reports use.
    pub source: String,
}

/// What a document holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Body {
    /// Plain text.
    Text(String),
    /// A conversation.
    Chat(Vec<Message>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
    /// What else stood there, as a JSON object: chat templates see its fields beside `role` and `content`.
    pub extra: Option<String>,
}

impl Document {
    /// A text.
    pub fn text(text: impl Into<String>, source: impl Into<String>) -> Self {
        Self { body: Body::Text(text.into()), source: source.into() }
    }

    /// A conversation.
    pub fn chat(messages: Vec<Message>, source: impl Into<String>) -> Self {
        Self { body: Body::Chat(messages), source: source.into() }
    }

    /// A view that does not own.
    pub fn borrow(&self) -> DocumentRef<'_> {
        let body = match &self.body {
            Body::Text(text) => BodyRef::Text(text),
            Body::Chat(messages) => BodyRef::Chat(messages.iter().map(Message::borrow).collect()),
        };
        DocumentRef { body, source: &self.source }
    }
}

impl Message {
    /// A turn without anything else.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extra: None }
    }

    /// A view that does not own.
    pub fn borrow(&self) -> MessageRef<'_> {
        MessageRef { role: &self.role, content: &self.content, extra: self.extra.as_deref() }
    }
}
