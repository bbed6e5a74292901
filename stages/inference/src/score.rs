//! How likely texts are: sums of logarithms of probabilities, several texts side by side, what they share computed once.
use crate::engine::{LOGITS, PORTION};
use crate::{Engine, InferenceError, Likely, More, Pair, Result, Wanted};
use std::collections::HashMap;

/// How likely a continuation is.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The logarithm of the probability of each of its tokens, behind those before it.
    pub tokens: Vec<f64>,
    /// Whether each of its tokens is the likeliest at its place.
    pub greedy: bool,
}

/// Asks a model how likely texts are.
pub struct Scorer {
    engine: Box<dyn Engine>,
}

/// A context with all that is asked behind it.
struct Stem<'a> {
    context: &'a [u32],
    /// Number of the pair, and its continuation.
    branches: Vec<(usize, &'a [u32])>,
}

/// What a slot is at.
struct Slot<'s, 'a> {
    stem: &'s Stem<'a>,
    /// The branch that is read behind the context: none before the context was read for the first time.
    branch: Option<usize>,
    /// Tokens of the context that the model holds.
    context: usize,
    /// Tokens of the branch that were read.
    read: usize,
}

impl Scorer {
    /// Asks an engine.
    pub fn new(engine: Box<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Gives the engine back.
    pub fn into_engine(self) -> Box<dyn Engine> {
        self.engine
    }

    /// How likely each continuation is behind its context, of which the end is taken where both are too long; nothing once
    /// `stop` says so. Depends on nothing that was asked before.
    pub fn score(&mut self, pairs: &[Pair], stop: &dyn Fn() -> bool) -> Result<Option<Vec<Score>>> {
        let stems = self.stems(pairs)?;
        let mut scores = vec![Score { tokens: Vec::new(), greedy: true }; pairs.len()];
        let count = self.engine.room().slots;
        let mut held: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut slots: Vec<Option<Slot<'_, '_>>> = (0..count).map(|_| None).collect();
        let mut waiting = stems.iter();
        loop {
            if stop() {
                return Ok(None);
            }
            for (number, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
                let Some(stem) = waiting.next() else { break };
                let shared = held[number].iter().zip(stem.context).take_while(|(a, b)| a == b).count();
                // The last token of a context must run, since what follows it is asked.
                let context = self.engine.keep(number, shared.min(stem.context.len() - 1));
                held[number] = stem.context.to_vec();
                *slot = Some(Slot { stem, branch: None, context, read: 0 });
            }
            if slots.iter().all(Option::is_none) {
                return Ok(Some(scores));
            }
            self.step(&mut slots, &mut scores)?;
        }
    }

    /// Runs the model once.
    fn step(&mut self, slots: &mut [Option<Slot<'_, '_>>], scores: &mut [Score]) -> Result<()> {
        let vocabulary = self.engine.vocabulary().max(1);
        let (mut tokens, mut rows) = (PORTION, (LOGITS / vocabulary).max(1));
        let mut more = Vec::new();
        for (number, slot) in slots.iter().enumerate() {
            let Some(slot) = slot.as_ref().filter(|_| tokens > 0 && rows > 0) else { continue };
            let open = slot.open();
            let (len, wanted) = match slot.branch {
                Some(_) if slot.is_in_branch() => (open.len().min(tokens).min(rows), Wanted::All),
                // A context that is read once more tells nothing new.
                Some(_) => (open.len().min(tokens), Wanted::Nothing),
                None if open.len() <= tokens => (open.len(), Wanted::Last),
                None => (tokens, Wanted::Nothing),
            };
            tokens -= len;
            rows -= match wanted {
                Wanted::All => len,
                Wanted::Last => 1,
                Wanted::Nothing => 0,
            };
            more.push(More { slot: number, ids: &open[..len], wanted });
        }
        let logits = self.engine.run(&more)?;
        let mut rows = logits.chunks_exact(vocabulary).map(Likely::new);
        for More { slot: number, ids, wanted } in more {
            let Some(slot) = &mut slots[number] else { continue };
            match wanted {
                Wanted::Nothing => slot.context += ids.len(),
                Wanted::Last => {
                    if let Some(row) = rows.next() {
                        slot.stem.branches.iter().for_each(|(pair, ids)| scores[*pair].add(&row, ids[0]));
                    }
                    slot.branch = slot.stem.next_branch(0);
                    slot.context += ids.len();
                }
                Wanted::All => {
                    let at = slot.branch.unwrap_or_default();
                    let (pair, continuation) = slot.stem.branches[at];
                    let asked = &continuation[slot.read + 1..][..ids.len()];
                    rows.by_ref().zip(asked).for_each(|(row, id)| scores[pair].add(&row, *id));
                    slot.read += ids.len();
                    if slot.open().is_empty() {
                        slot.branch = slot.stem.next_branch(at + 1);
                        slot.read = 0;
                        // What cannot be cut back to the context has it read once more.
                        slot.context = self.engine.keep(number, slot.stem.context.len());
                    }
                }
            }
            if wanted != Wanted::Nothing && slot.branch.is_none() {
                slots[number] = None;
            }
        }
        Ok(())
    }

    /// Pairs with one context together, in the order in which they came.
    fn stems<'a>(&self, pairs: &'a [Pair]) -> Result<Vec<Stem<'a>>> {
        let (room, vocabulary) = (self.engine.room().context, self.engine.vocabulary());
        let mut stems: Vec<Stem<'a>> = Vec::new();
        let mut known: HashMap<&[u32], usize> = HashMap::new();
        for (number, pair) in pairs.iter().enumerate() {
            if pair.context.is_empty() || pair.continuation.is_empty() {
                return Err(InferenceError::Empty);
            }
            if pair.continuation.len() > room {
                return Err(InferenceError::TooLong { tokens: pair.continuation.len(), room });
            }
            if let Some(id) =
                pair.context.iter().chain(&pair.continuation).find(|id| **id as usize >= vocabulary)
            {
                let said = format!("there is no token {id} in this model");
                return Err(InferenceError::unfit(said, format!("tokens are numbers below {vocabulary}")));
            }
            // The last token is asked about, and runs nowhere.
            let cut = (pair.context.len() + pair.continuation.len()).saturating_sub(room + 1);
            let context = &pair.context[cut..];
            let at = *known.entry(context).or_insert_with(|| {
                stems.push(Stem { context, branches: Vec::new() });
                stems.len() - 1
            });
            stems[at].branches.push((number, &pair.continuation));
        }
        Ok(stems)
    }
}

impl Score {
    /// The logarithm of its probability.
    pub fn sum(&self) -> f64 {
        self.tokens.iter().sum()
    }

    fn add(&mut self, row: &Likely<'_>, id: u32) {
        self.tokens.push(row.of(id));
        self.greedy &= row.likeliest() == id;
    }
}

impl<'a> Slot<'_, 'a> {
    /// Whether the model holds all of the context.
    fn is_in_branch(&self) -> bool {
        self.context == self.stem.context.len()
    }

    /// What is to be read yet: of the context, and behind it of the branch.
    fn open(&self) -> &'a [u32] {
        match self.branch {
            Some(branch) if self.is_in_branch() => {
                let continuation = self.stem.branches[branch].1;
                &continuation[self.read..continuation.len() - 1]
            }
            _ => &self.stem.context[self.context..],
        }
    }
}

impl Stem<'_> {
    /// The next branch with more than one token: the first is known from the context's end.
    fn next_branch(&self, from: usize) -> Option<usize> {
        (from..self.branches.len()).find(|at| self.branches[*at].1.len() > 1)
    }
}
