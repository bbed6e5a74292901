//! Tokens into text that can be shown at once: a character whose bytes come in several tokens is shown when it is whole.
use crate::Result;
use muse_artifacts::tokenizer::Tokenizer;
use std::sync::Arc;

/// What a tokenizer writes for bytes that are no character, or not yet.
const BROKEN: char = '\u{FFFD}';
/// A character has four bytes at most, so three may wait for the last.
const WAITING: usize = 3;
/// Tokens without an end of a character among them, after which no end is expected any more.
const LONGEST: usize = 32;

/// The text of one text's tokens, as they come.
pub struct Speech {
    tokenizer: Arc<Tokenizer>,
    /// The tokens since some end of a character: what the next one means may depend on a few before it.
    ids: Vec<u32>,
    /// Of these so many end with a whole character.
    whole: usize,
    /// Their text that was given out.
    shown: String,
}

impl Speech {
    /// A text that begins.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, ids: Vec::new(), whole: 0, shown: String::new() }
    }

    /// The text that a token adds: whole characters, if any.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let text = self.tokenizer.text(&self.ids)?;
        let open = text.chars().rev().take_while(|letter| *letter == BROKEN).count();
        let bytes = text.len() - open.min(WAITING) * BROKEN.len_utf8();
        let more = self.take(text.get(..bytes).unwrap_or_default());
        if open == 0 {
            // The tokens up to the last end of a character stay as what stands before.
            self.ids.drain(..self.whole);
            self.whole = self.ids.len();
            self.shown = self.tokenizer.text(&self.ids)?;
        } else if self.ids.len() > LONGEST {
            return Ok(more + &self.end()?);
        }
        Ok(more)
    }

    /// What is left at the end: bytes of a character that never became whole.
    pub fn end(&mut self) -> Result<String> {
        let text = self.tokenizer.text(&self.ids)?;
        let more = self.take(&text);
        (self.whole, self.ids, self.shown) = (0, Vec::new(), String::new());
        Ok(more)
    }

    /// What of `text` was not given out yet.
    fn take(&mut self, text: &str) -> String {
        let more = text.strip_prefix(self.shown.as_str()).unwrap_or_default().to_owned();
        self.shown.push_str(&more);
        more
    }
}
