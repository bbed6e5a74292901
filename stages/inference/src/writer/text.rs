//! One text that is being written: its tokens, which one comes next, what can be shown, when it is over.
use crate::{Chosen, Ended, Likely, Order, Piece, Reason, Result, Speech, Stops};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::decode::Sampler;
use std::mem;
use std::sync::Arc;

/// A text that is being written.
pub(super) struct Text {
    order: Order,
    /// The prompt, and what was written behind it.
    ids: Vec<u32>,
    /// Tokens of the prompt that were not computed again.
    pub(super) cached: usize,
    sampler: Sampler,
    speech: Speech,
    stops: Stops,
    /// Tokens that ended it belong to it, but are not part of what goes on.
    written: usize,
    /// Tokens that nobody was told of yet.
    told: Vec<Chosen>,
}

/// What a model says comes next.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    /// How likely each token is.
    Logits(&'a [f32]),
    /// The likeliest token, where it is the one that is taken.
    Token(u32),
}

impl Text {
    pub(super) fn new(order: Order, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            ids: order.prompt.clone(),
            cached: 0,
            sampler: Sampler::new(order.sampling),
            speech: Speech::new(tokenizer),
            stops: Stops::new(&order.stops),
            written: 0,
            told: Vec::new(),
            order,
        }
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.order.prompt
    }

    /// The prompt, and what was written behind it.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether the next token is the likeliest one, and nobody asks how likely.
    pub(super) fn takes_likeliest(&self) -> bool {
        self.order.likely.is_none() && self.order.sampling.takes_likeliest()
    }

    /// Whether each token of the prompt must run, since it is asked how likely they are.
    pub(super) fn is_whole(&self) -> bool {
        self.order.whole && self.order.likely.is_some()
    }

    /// Notes how likely a token of the prompt is, by the logits of the token before it.
    pub(super) fn read(&mut self, at: usize, logits: Option<&[f32]>) {
        let (Some(count), Some(id)) = (self.order.likely, self.order.prompt.get(at)) else { return };
        let chosen = match logits {
            Some(logits) => likely(*id, logits, count),
            None => Chosen { id: *id, logprob: None, others: Vec::new() },
        };
        self.told.push(chosen);
    }

    /// Chooses the next token. Gives what can be shown, and why the text is over, if it is.
    pub(super) fn choose(&mut self, next: Next<'_>) -> Result<(Piece, Option<Reason>)> {
        let mut piece = Piece { tokens: mem::take(&mut self.told), ..Piece::default() };
        if self.order.most == 0 {
            return Ok((piece, Some(Reason::Length)));
        }
        let (prompt, generated) = self.ids.split_at(self.order.prompt.len());
        let id = match next {
            Next::Logits(logits) => self.sampler.next(logits, prompt, generated),
            Next::Token(id) => id,
        };
        self.written += 1;
        let ends = self.order.ends.contains(&id);
        let told = self.order.likely.filter(|_| !ends || self.order.whole);
        if let (Some(count), Next::Logits(logits)) = (told, next) {
            piece.tokens.push(likely(id, logits, count));
        }
        if ends {
            piece.text = self.rest()?;
            return Ok((piece, Some(Reason::Stop)));
        }
        self.ids.push(id);
        let (text, stopped) = self.stops.push(&self.speech.push(id)?);
        piece.text = text;
        if stopped {
            return Ok((piece, Some(Reason::Stop)));
        }
        if self.written < self.order.most {
            return Ok((piece, None));
        }
        piece.text += &self.rest()?;
        Ok((piece, Some(Reason::Length)))
    }

    /// What was held back, at the end.
    fn rest(&mut self) -> Result<String> {
        let (text, stopped) = self.stops.push(&self.speech.end()?);
        Ok(if stopped { text } else { text + &self.stops.end() })
    }

    pub(super) fn ended(&self, reason: Reason) -> Ended {
        Ended { reason, prompt: self.order.prompt.len(), cached: self.cached, written: self.written }
    }
}

/// How likely a token is by a row of logits, and some of the likeliest beside it.
fn likely(id: u32, logits: &[f32], count: usize) -> Chosen {
    let likely = Likely::new(logits);
    Chosen { id, logprob: Some(likely.of(id)), others: likely.best(count) }
}
