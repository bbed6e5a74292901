//! The shuffle: documents go to disk with random keys, in parts by key, and come back part by part in order of
//! the keys.
use crate::hash::draw;
use crate::inputs::Bar;
use crate::scatter::{Part, Scatter};
use muse_artifacts::corpus::{Body, BodyRef, CorpusWriter, Document, DocumentRef, Message};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};

/// What the draw is for, beside others of the same seed; what comes again is drawn by the next purpose.
const PURPOSE: u64 = 1 << 32;
/// So many parts are in memory at once: the one that is written, and those that are made ready.
const READERS: usize = 2;

/// Takes documents.
pub(crate) struct Spool {
    scatter: Scatter,
    seed: u64,
}

impl Spool {
    pub(crate) fn create(context: &Context, seed: u64, bytes: u64) -> Result<Self, StageError> {
        Ok(Self { scatter: Scatter::create(context.work().join("shuffle"), bytes)?, seed })
    }

    /// Takes a document, as often as `times`.
    pub(crate) fn push(
        &mut self,
        number: u32,
        times: u32,
        document: &DocumentRef<'_>,
    ) -> Result<(), StageError> {
        for time in 0..times {
            let key = draw(self.seed, PURPOSE + u64::from(time), u64::from(number));
            self.scatter.push(key, |record| {
                let start = record.len();
                put(record, key);
                put(record, 0);
                encode(record, document);
                let length = (record.len() - start - 16) as u64;
                record[start + 8..start + 16].copy_from_slice(&length.to_le_bytes());
            })?;
        }
        Ok(())
    }

    /// Writes them in their new order.
    pub(crate) fn write(
        self,
        context: &mut Context,
        bar: &mut Bar,
        writer: &mut CorpusWriter,
    ) -> Result<(), StageError> {
        let parts = self.scatter.finish()?.into_iter();
        in_order(context.threads().min(READERS), parts, Part::take, |part: Vec<u8>| {
            let mut records = Vec::new();
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                let record = record(&mut rest).ok_or_else(lost)?;
                records.push(record);
            }
            // Stable: those of one key, if ever there are such, stay in order.
            records.sort_by_key(|(key, _)| *key);
            for (_, mut bytes) in records {
                context.go_on()?;
                writer.push(&decode(&mut bytes).ok_or_else(lost)?.borrow())?;
            }
            bar.add(context, part.len() as u64);
            Ok(())
        })
    }
}

fn lost() -> StageError {
    StageError::new("what was written to the work folder for the shuffle came back changed")
        .help("check the disk; nothing else may write there")
}

fn put(to: &mut Vec<u8>, number: u64) {
    to.extend(number.to_le_bytes());
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put(to, text.len() as u64);
    to.extend(text.as_bytes());
}

/// Source, then 0 and the text, or 1, how many turns, and each.
fn encode(to: &mut Vec<u8>, document: &DocumentRef<'_>) {
    put_text(to, document.source);
    match &document.body {
        BodyRef::Text(text) => {
            put(to, 0);
            put_text(to, text);
        }
        BodyRef::Chat(messages) => {
            put(to, 1);
            put(to, messages.len() as u64);
            for message in messages {
                put_text(to, message.role);
                put_text(to, message.content);
                put(to, u64::from(message.extra.is_some()));
                put_text(to, message.extra.unwrap_or_default());
            }
        }
    }
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u64::from_le_bytes(*number))
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn text(from: &mut &[u8]) -> Option<String> {
    String::from_utf8(bytes(from)?.to_vec()).ok()
}

fn record<'a>(from: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    Some((number(from)?, bytes(from)?))
}

fn decode(from: &mut &[u8]) -> Option<Document> {
    let source = text(from)?;
    let body = match number(from)? {
        0 => Body::Text(text(from)?),
        _ => {
            let turns = number(from)?;
            let mut messages = Vec::new();
            for _ in 0..turns {
                let (role, content) = (text(from)?, text(from)?);
                let there = number(from)? == 1;
                let extra = Some(text(from)?).filter(|_| there);
                messages.push(Message { role, content, extra });
            }
            Body::Chat(messages)
        }
    };
    from.is_empty().then_some(Document { body, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        (any::<String>(), any::<String>(), any::<Option<String>>())
            .prop_map(|(role, content, extra)| Message { role, content, extra })
    }

    proptest! {
        #[test]
        fn documents_come_back_as_they_were(
            text in any::<String>(),
            messages in proptest::collection::vec(message(), 0..4),
            source in any::<String>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            for document in [Document::text(text, source.clone()), Document::chat(messages, source)] {
                let mut bytes = Vec::new();
                encode(&mut bytes, &document.borrow());
                prop_assert_eq!(decode(&mut bytes.as_slice()), Some(document));
                let cut = cut.index(bytes.len());
                prop_assert_eq!(decode(&mut &bytes[..cut]), None);
            }
        }
    }
}
