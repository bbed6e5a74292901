//! Writes texts side by side: each step runs the next tokens of all that have a slot, and a portion of the prompts that came.
mod text;
mod turn;

use crate::engine::{LOGITS, PORTION};
use crate::{Engine, InferenceError, More, News, Order, Result, Wanted};
use muse_artifacts::tokenizer::Tokenizer;
use std::collections::VecDeque;
use std::sync::Arc;
use text::{Next, Text};

/// The number of an order.
pub type Ticket = u64;

/// Writes texts.
pub struct Writer {
    engine: Box<dyn Engine>,
    tokenizer: Arc<Tokenizer>,
    /// Tokens that may be chosen: the rest of the vocabulary stands for nothing.
    vocabulary: usize,
    slots: Vec<Slot>,
    waiting: VecDeque<(Ticket, Text)>,
    tickets: Ticket,
    /// Rows of logits that are in memory at once, where they are wanted of a whole prompt.
    pub(crate) rows: usize,
}

/// Where a text is.
#[derive(Default)]
struct Slot {
    /// What the engine holds here.
    held: Vec<u32>,
    text: Option<(Ticket, Text)>,
    /// The last text that was here: the slot that was left longest ago is taken first.
    last: Ticket,
}

impl Writer {
    /// Writes with an engine, whose tokens are those of the tokenizer.
    pub fn new(engine: Box<dyn Engine>, tokenizer: Arc<Tokenizer>) -> Self {
        let slots = (0..engine.room().slots).map(|_| Slot::default()).collect();
        let vocabulary = engine.vocabulary().min(tokenizer.vocab_size());
        let rows = (LOGITS / engine.vocabulary().max(1)).max(1);
        Self { engine, tokenizer, vocabulary, slots, waiting: VecDeque::new(), tickets: 0, rows }
    }

    /// Gives the engine back.
    pub fn into_engine(self) -> Box<dyn Engine> {
        self.engine
    }

    /// Takes an order. Its text begins when there is room.
    pub fn add(&mut self, order: Order) -> Result<Ticket> {
        let context = self.engine.room().context;
        if order.prompt.is_empty() {
            return Err(InferenceError::Empty);
        }
        if order.prompt.len() >= context {
            return Err(InferenceError::TooLong {
                tokens: order.prompt.len(),
                room: context.saturating_sub(1),
            });
        }
        if let Some(id) = order.prompt.iter().find(|id| **id as usize >= self.engine.vocabulary()) {
            let said = format!("there is no token {id} in this model");
            return Err(InferenceError::unfit(
                said,
                format!("tokens are numbers below {}", self.engine.vocabulary()),
            ));
        }
        self.tickets += 1;
        let most = order.most.min(context - order.prompt.len());
        let text = Text::new(Order { most, ..order }, Arc::clone(&self.tokenizer));
        self.waiting.push_back((self.tickets, text));
        Ok(self.tickets)
    }

    /// Forgets an order, whether it waits or is being written.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.waiting.retain(|(one, _)| *one != ticket);
        for slot in &mut self.slots {
            slot.text.take_if(|(one, _)| *one == ticket);
        }
    }

    /// Orders that wait for a slot.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Texts that are being written.
    pub fn writing(&self) -> usize {
        self.slots.iter().filter(|slot| slot.text.is_some()).count()
    }

    /// Runs the model once, where there is anything to do, and tells what is new of which text. An error of a text ends it;
    /// one of the model is the step's own.
    pub fn step(&mut self) -> Result<Vec<(Ticket, Result<News>)>> {
        self.begin();
        let portions = self.portions();
        let more: Vec<More<'_>> = portions
            .iter()
            .filter_map(|&(slot, len)| {
                let (_, text) = self.slots[slot].text.as_ref()?;
                let from = self.slots[slot].held.len();
                let ids = text.ids().get(from..from + len)?;
                let wanted = match from + len == text.ids().len() {
                    _ if text.is_whole() && from < text.prompt().len() => Wanted::All,
                    true => Wanted::Last,
                    false => Wanted::Nothing,
                };
                Some(More { slot, ids, wanted })
            })
            .collect();
        let wanted: Vec<Wanted> = more.iter().map(|more| more.wanted).collect();
        let texts = portions.iter().filter_map(|(slot, _)| self.slots[*slot].text.as_ref());
        let (logits, likeliest) = if texts.into_iter().all(|(_, text)| text.takes_likeliest()) {
            (Vec::new(), self.engine.likeliest(&more, self.vocabulary)?)
        } else {
            (self.engine.run(&more)?, Vec::new())
        };
        let (vocabulary, all) = (self.vocabulary, self.engine.vocabulary());
        let mut rows = logits
            .chunks_exact(all)
            .map(|row| Next::Logits(&row[..vocabulary]))
            .chain(likeliest.into_iter().map(Next::Token));
        let mut turns = Vec::new();
        for ((slot, len), wanted) in portions.into_iter().zip(wanted) {
            let Slot { held, text: Some((_, text)), .. } = &mut self.slots[slot] else { continue };
            let from = held.len();
            held.extend_from_slice(&text.ids()[from..from + len]);
            if wanted == Wanted::All {
                if from == 0 {
                    text.read(0, None);
                }
                // Each row tells of the token behind it; what the last one tells of is not there yet, or comes with the next portion.
                let open = held.len() < text.ids().len();
                let told = len - usize::from(!open);
                for at in from..from + told {
                    let Some(Next::Logits(row)) = rows.next() else { break };
                    text.read(at + 1, Some(row));
                }
            }
            if held.len() < text.ids().len() {
                continue;
            }
            turns.extend(rows.next().map(|row| (slot, row)));
        }
        Ok(turn::all(&mut self.slots, &turns))
    }

    /// Gives free slots to orders that wait, each the one that holds most of its beginning.
    fn begin(&mut self) {
        while let Some((_, text)) = self.waiting.front() {
            let shared = |slot: &Slot| {
                let same = slot.held.iter().zip(text.prompt()).take_while(|(a, b)| a == b);
                if text.is_whole() { 0 } else { same.count() }
            };
            let free = (0..self.slots.len()).filter(|slot| self.slots[*slot].text.is_none());
            let best = free.max_by_key(|slot| {
                let slot = &self.slots[*slot];
                (shared(slot), std::cmp::Reverse(slot.last))
            });
            let Some(number) = best else { return };
            // The last token of a prompt must run, since what follows it is asked.
            let kept = shared(&self.slots[number]).min(text.prompt().len() - 1);
            let Some((ticket, mut text)) = self.waiting.pop_front() else { return };
            // What cannot be cut is read from the beginning.
            let kept = self.engine.keep(number, kept);
            text.cached = kept;
            let slot = &mut self.slots[number];
            slot.held.truncate(kept);
            (slot.text, slot.last) = (Some((ticket, text)), ticket);
        }
    }

    /// How many tokens of which slots run next: one of each text that is being written, and of prompts a portion together, the
    /// first that came first.
    fn portions(&self) -> Vec<(usize, usize)> {
        let (mut left, mut rows) = (PORTION, self.rows);
        let mut all: Vec<(Ticket, usize, usize, bool)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(number, slot)| {
                let (ticket, text) = slot.text.as_ref()?;
                let whole = text.is_whole() && slot.held.len() < text.prompt().len();
                Some((*ticket, number, text.ids().len() - slot.held.len(), whole))
            })
            .collect();
        all.sort_unstable();
        let part = |(_, slot, open, whole): (Ticket, usize, usize, bool)| {
            let room = if whole { left.min(rows) } else { left };
            let len = if open == 1 { 1 } else { open.min(room) };
            left -= if open == 1 { 0 } else { len };
            rows -= if whole && open > 1 { len } else { 0 };
            (len > 0).then_some((slot, len))
        };
        all.into_iter().filter_map(part).collect()
    }
}
