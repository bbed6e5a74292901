//! The columns of a corpus.
use arrow_schema::{DataType, Field, Fields, Schema};
use std::sync::Arc;

pub(super) const TEXT: &str = "text";
pub(super) const MESSAGES: &str = "messages";
pub(super) const SOURCE: &str = "source";

/// The fields of one message.
pub(super) fn message() -> Fields {
    Fields::from(vec![
        Field::new("role", DataType::Utf8, false),
        Field::new("content", DataType::Utf8, false),
        Field::new("extra", DataType::Utf8, true),
    ])
}

/// The element of `messages`.
pub(super) fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(message()), false))
}

/// What the writer writes. Readers also take files that lack `messages` or `source`.
pub(super) fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new(TEXT, DataType::Utf8, true),
        Field::new(MESSAGES, DataType::List(element()), true),
        Field::new(SOURCE, DataType::Utf8, false),
    ]))
}
