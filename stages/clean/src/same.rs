//! Documents that are equal, found by 128 bits of BLAKE3: the hashes go to disk and are sorted there part by part.
use crate::fate::{Fate, Rule};
use crate::scatter::{Part, Scatter};
use muse_artifacts::corpus::{BodyRef, DocumentRef};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use std::collections::BTreeMap;

/// Hash and number.
const RECORD: usize = 16 + 4;

/// For some dropped documents, the earlier one that they are copies of.
pub(crate) type Copies = BTreeMap<u32, u32>;
/// So many of them, the first.
pub(crate) const COPIES: usize = 5;

/// What stands for a document: documents that differ in text, in a role, a turn or another field have others.
pub(crate) fn hash(document: &DocumentRef<'_>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let mut put = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    match &document.body {
        BodyRef::Text(text) => put(text),
        BodyRef::Chat(messages) => {
            put("chat");
            put("");
            for message in messages {
                put(message.role);
                put(message.content);
                put(if message.extra.is_some() { "+" } else { "" });
                put(message.extra.unwrap_or_default());
            }
        }
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

/// Takes the hashes of documents.
pub(crate) struct Same(Scatter);

impl Same {
    pub(crate) fn create(context: &Context, documents: u64) -> Result<Self, StageError> {
        Scatter::create(context.work().join("same"), documents * RECORD as u64).map(Self)
    }

    pub(crate) fn push(&mut self, document: u32, hash: [u8; 16]) -> Result<(), StageError> {
        let (high, _) = hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.0.push(u64::from_be_bytes(*high), |record| {
            record.extend(hash);
            record.extend(document.to_be_bytes());
        })
    }

    /// Drops all but the first of equal documents.
    pub(crate) fn drop_copies(self, context: &Context, fates: &mut [Fate]) -> Result<Copies, StageError> {
        let mut copies = Copies::new();
        in_order(context.threads().min(2), self.0.finish()?.into_iter(), pairs, |pairs| {
            context.go_on()?;
            for (copy, first) in pairs {
                if let Some(fate) = fates.get_mut(copy as usize) {
                    *fate = Fate::Dropped(Rule::Exact);
                }
                copies.insert(copy, first);
                if copies.len() > COPIES {
                    copies.pop_last();
                }
            }
            Ok(())
        })?;
        Ok(copies)
    }
}

/// Each copy in a part, with the first of its kind.
fn pairs(part: Part) -> Result<Vec<(u32, u32)>, StageError> {
    let bytes = part.take()?;
    let (records, _) = bytes.as_chunks::<RECORD>();
    // Big endian, so that records sort by hash, and then by number.
    let mut records = records.to_vec();
    records.sort_unstable();
    let number = |record: &[u8; RECORD]| record.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let equal = records.chunk_by(|one, next| one[..16] == next[..16]);
    Ok(equal.flat_map(|equal| equal.iter().skip(1).map(|copy| (number(copy), number(&equal[0])))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{Document, Message};

    #[test]
    fn what_differs_in_anything_is_not_equal() {
        let mut with_more = Message::new("user", "a");
        with_more.extra = Some("{}".into());
        let all = [
            Document::text("", "s"),
            Document::text("a", "s"),
            Document::text("usera", "s"),
            Document::chat(vec![], "s"),
            Document::chat(vec![Message::new("user", "a")], "s"),
            Document::chat(vec![Message::new("usera", "")], "s"),
            Document::chat(vec![Message::new("user", "a"), Message::default()], "s"),
            Document::chat(vec![with_more], "s"),
        ];
        let mut hashes: Vec<_> = all.iter().map(|document| hash(&document.borrow())).collect();
        assert_eq!(hash(&Document::text("a", "elsewhere").borrow()), hashes[1]);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all.len());
    }
}
