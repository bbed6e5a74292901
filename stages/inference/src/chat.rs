//! A conversation as a prompt: as much of it as there is room for, its beginning left out first.
use crate::{InferenceError, Result};
use muse_artifacts::corpus::{Message, MessageRef};
use muse_artifacts::tokenizer::Tokenizer;

/// A conversation that an answer is asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// How many messages were left out.
    pub left_out: usize,
}

/// The prompt for the next answer, of at most `room` tokens. What the system says stays, and so does the last question; of the
/// rest the oldest turns are left out, a question with its answer.
pub fn prompt(tokenizer: &Tokenizer, messages: &[Message], room: usize) -> Result<Prompt> {
    let fixed = messages.iter().take_while(|message| message.role == "system").count();
    let (system, turns) = messages.split_at(fixed);
    let mut starts: Vec<usize> = (1..turns.len()).filter(|at| turns[*at].role == "user").collect();
    starts.insert(0, 0);
    let mut tokens = 0;
    for from in starts {
        let kept: Vec<MessageRef<'_>> = system.iter().chain(&turns[from..]).map(Message::borrow).collect();
        let ids = tokenizer.encode_prompt(&kept)?;
        if ids.len() <= room {
            return Ok(Prompt { ids, left_out: from });
        }
        tokens = ids.len();
    }
    Err(InferenceError::TooLong { tokens, room })
}

/// The tokens that end an answer: the one that ends a turn by the chat template, and the one that ends a text.
pub fn ends(tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let mut ends = Vec::new();
    if tokenizer.has_chat_template() {
        ends.extend(tokenizer.end_of_turn()?);
    }
    ends.extend(tokenizer.end_of_text().filter(|end| !ends.contains(end)));
    Ok(ends)
}
