//! Texts as pairs of tokens: what is asked about, and what stands before it. The rules are those of lm-evaluation-harness, so that
//! figures can be compared.
use crate::Result;
use muse_artifacts::corpus::MessageRef;
use muse_artifacts::tokenizer::Tokenizer;

/// Tokens whose likelihood is asked for, behind others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What stands before; one token at least.
    pub context: Vec<u32>,
    /// What is asked about; one token at least.
    pub continuation: Vec<u32>,
}

impl Pair {
    /// A text behind another. White space at the end of the context belongs to the continuation, and both become tokens as one
    /// text, which is cut where the context alone would end. Behind nothing there is the token that begins texts.
    pub fn of(tokenizer: &Tokenizer, context: &str, continuation: &str) -> Result<Self> {
        let kept = context.trim_end_matches(is_space);
        if context.is_empty() {
            let ids = tokenizer.encode(continuation)?;
            let prefix = prefix(tokenizer);
            return Ok(match (prefix, ids.split_first()) {
                (Some(prefix), Some((first, _))) if prefix != *first => {
                    Self { context: vec![prefix], continuation: ids }
                }
                (None, None) => Self { context: Vec::new(), continuation: ids },
                (Some(prefix), None) => Self { context: vec![prefix], continuation: ids },
                (_, Some((first, rest))) => Self { context: vec![*first], continuation: rest.to_vec() },
            });
        }
        let whole = encode(tokenizer, &format!("{context}{continuation}"))?;
        let mut before = encode(tokenizer, kept)?;
        let continuation = whole.get(before.len()..).unwrap_or_default().to_vec();
        if before.is_empty() {
            before.extend(prefix(tokenizer));
        }
        Ok(Self { context: before, continuation })
    }

    /// A text behind a conversation that the assistant is to go on with, by the same rules.
    pub fn of_chat(tokenizer: &Tokenizer, messages: &[MessageRef<'_>], continuation: &str) -> Result<Self> {
        let (context, whole) = tokenizer.encode_prompt_with(messages, continuation, is_space)?;
        let continuation = whole.get(context.len()..).unwrap_or_default().to_vec();
        Ok(Self { context, continuation })
    }

    /// A long text in windows of at most `room` tokens, of which each is asked about once: all that there is room for stands
    /// before it.
    pub fn windows(ids: &[u32], prefix: u32, room: usize) -> Vec<Self> {
        let room = room.max(1);
        let first = ids.len().min(room);
        let mut all = Vec::new();
        if first > 0 {
            all.push(Self { context: vec![prefix], continuation: ids[..first].to_vec() });
        }
        let mut done = first;
        while done < ids.len() {
            let end = ids.len().min(done + room);
            all.push(Self {
                context: ids[end - room - 1..done].to_vec(),
                continuation: ids[done..end].to_vec(),
            });
            done = end;
        }
        all
    }
}

/// The tokens of a text that stands alone, with what its tokenizer puts before every text.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut ids = tokenizer.beginning()?;
    tokenizer.encode_into(text, &mut ids)?;
    Ok(ids)
}

/// The token that stands before what stands behind nothing: the one that begins texts, else the one that ends them.
pub fn prefix(tokenizer: &Tokenizer) -> Option<u32> {
    let role = |role: &str| tokenizer.role(role).and_then(|token| tokenizer.token_id(token));
    role("bos_token").or_else(|| role("eos_token")).or_else(|| tokenizer.end_of_text())
}

/// White space as Python's `rstrip` sees it.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}
