//! Puts questions to a model, and notes what it answers and how good that is.
use crate::judge::{choice, filtered, matches};
use crate::measure::{counts, size_of, size_of_text};
use crate::prompt::{Ask, Question};
use crate::record::{Record, rounded};
use crate::task::{Filter, Task};
use muse_artifacts::checkpoint::Weights;
use muse_artifacts::tokenizer::Tokenizer;
use muse_inference::{
    Device, Engine, InferenceError, News, Order, Pair, Room, Sampling, Score, Scorer, Source, Writer, chat,
    encode, load, prefix,
};
use muse_stage::StageError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// As many texts at once as have so many tokens: it depends on the model alone, so that figures do not depend on the machine.
const TOKENS: usize = 16_384;
/// And no more than these.
const MOST_SLOTS: usize = 16;

/// Texts at once, of a model with this context.
pub(crate) fn slots(context: usize) -> usize {
    (TOKENS / context.max(1)).clamp(1, MOST_SLOTS)
}

/// A model that is asked.
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) tokenizer: Arc<Tokenizer>,
    engine: Option<Box<dyn Engine>>,
    context: usize,
}

impl Model {
    /// Brings a model to its device.
    pub(crate) fn open(
        name: &str,
        source: Source,
        device: Device,
        kept: muse_inference::Kept,
    ) -> Result<Self, StageError> {
        let context = source.context();
        let room = Room { slots: slots(context), context };
        let engine = load(&source.model, &source.tensors, device, kept, room).map_err(failed)?;
        let tokenizer = Arc::new(source.tokenizer);
        Ok(Self { name: name.to_owned(), tokenizer, engine: Some(engine), context })
    }

    /// What becomes of some items. Nothing once `stop` says so.
    pub(crate) fn answer(
        &mut self,
        task: &Task,
        questions: &[Question],
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Record>>, StageError> {
        let mut records: Vec<Record> = questions.iter().map(|question| self.record(task, question)).collect();
        let mut pairs = Vec::new();
        let mut owners = Vec::new();
        let mut orders = Vec::new();
        for (at, question) in questions.iter().enumerate() {
            match &question.ask {
                Ask::Write { .. } => orders.push((at, self.order(task, question, &mut records[at])?)),
                _ => {
                    let new = self.pairs(task, question, &mut records[at])?;
                    owners.extend(new.iter().map(|_| at));
                    pairs.extend(new);
                }
            }
        }
        let Some(engine) = self.engine.take() else {
            return Err(StageError::new(format!("the model `{}` is gone", self.name)));
        };
        let mut scorer = Scorer::new(engine);
        let scores = scorer.score(&pairs, stop);
        let mut writer = Writer::new(scorer.into_engine(), Arc::clone(&self.tokenizer));
        let written = if orders.is_empty() { Ok(Some(Vec::new())) } else { write(&mut writer, orders, stop) };
        self.engine = Some(writer.into_engine());
        let (Some(scores), Some(written)) = (scores.map_err(failed)?, written?) else { return Ok(None) };
        let mut by_item: Vec<Vec<Score>> = vec![Vec::new(); questions.len()];
        owners.into_iter().zip(scores).for_each(|(at, score)| by_item[at].push(score));
        for ((record, question), scores) in records.iter_mut().zip(questions).zip(by_item) {
            likely(task, question, &scores, &self.tokenizer, record);
        }
        for (at, text) in written {
            if let Ask::Write { answers } = &questions[at].ask {
                judged(task, text, answers, &mut records[at])?;
            }
        }
        Ok(Some(records))
    }

    fn record(&self, task: &Task, question: &Question) -> Record {
        let Question { item, id, group, .. } = question.clone();
        Record { model: self.name.clone(), task: task.name.clone(), item, id, group, ..Record::default() }
    }

    /// What is asked of the scorer.
    fn pairs(&self, task: &Task, question: &Question, record: &mut Record) -> Result<Vec<Pair>, StageError> {
        let here =
            |what: &str| StageError::new(format!("task `{}`, item {}: {what}", task.name, question.item));
        if let Ask::Choose { choices, .. } = &question.ask {
            let mut pairs = Vec::with_capacity(choices.len());
            for choice in choices {
                let pair = question.prompt.pair(&self.tokenizer, &task.target_delimiter, choice);
                let pair = pair.map_err(failed)?;
                if pair.context.is_empty() || pair.continuation.is_empty() {
                    return Err(here(&format!(
                        "the choice `{choice}` adds no token to what stands before it"
                    )));
                }
                if pair.continuation.len() > self.context {
                    let message = format!("a choice has {} tokens", pair.continuation.len());
                    return Err(here(&message).help(format!("the model has room for {}", self.context)));
                }
                record.cut |= pair.context.len() + pair.continuation.len() > self.context + 1;
                pairs.push(pair);
            }
            return Ok(pairs);
        }
        let Some(prefix) = prefix(&self.tokenizer) else {
            return Err(StageError::new("the tokenizer has no token that begins or ends texts")
                .help("give it an `eos_token` in its `tokenizer_config.json`"));
        };
        let encoded;
        let (ids, measured) = match &question.ask {
            Ask::Measure { text } => {
                encoded = encode(&self.tokenizer, text).map_err(failed)?;
                (&encoded, size_of_text(encoded.len(), text))
            }
            Ask::MeasureTokens { ids, said: None } => {
                (ids, size_of_text(ids.len(), &self.tokenizer.decode(ids)?))
            }
            Ask::MeasureTokens { ids, said: Some(said) } => {
                (ids, size_of(ids, &counts(ids, said, &self.tokenizer), &self.tokenizer)?)
            }
            Ask::Choose { .. } | Ask::Write { .. } => return Ok(Vec::new()),
        };
        record.measured = Some(measured);
        Ok(Pair::windows(ids, prefix, self.context))
    }

    /// What is asked of the writer.
    fn order(&self, task: &Task, question: &Question, record: &mut Record) -> Result<Order, StageError> {
        let mut prompt = question.prompt.ids(&self.tokenizer).map_err(failed)?;
        let most = (task.max_tokens as usize).min(self.context / 2).max(1);
        let cut = prompt.len().saturating_sub(self.context.saturating_sub(most));
        record.cut = cut > 0;
        prompt.drain(..cut);
        let mut ends = chat::ends(&self.tokenizer).map_err(failed)?;
        ends.extend(self.tokenizer.role("eos_token").and_then(|token| self.tokenizer.token_id(token)));
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        Ok(Order { sampling, stops: task.stops.clone(), ends, ..Order::new(prompt, most) })
    }
}

/// Notes how likely choices or a text were.
fn likely(task: &Task, question: &Question, scores: &[Score], tokenizer: &Tokenizer, record: &mut Record) {
    if let Some(measured) = &mut record.measured {
        let tokens = scores.iter().flat_map(|score| &score.tokens);
        measured.likelihood = rounded(match &question.ask {
            Ask::MeasureTokens { ids, said: Some(said) } => {
                let counts = counts(ids, said, tokenizer);
                tokens.zip(counts).filter(|(_, counts)| *counts).map(|(token, _)| token).sum()
            }
            _ => tokens.sum(),
        });
    }
    let Ask::Choose { choices, right } = &question.ask else { return };
    record.right.clone_from(right);
    record.likelihoods = scores.iter().map(|score| rounded(score.sum())).collect();
    record.greedy = scores.iter().map(|score| score.greedy).collect();
    let figures = task.figures().into_iter();
    record.scores = figures
        .map(|metric| (metric.name().to_owned(), rounded(choice(metric, scores, choices, right))))
        .collect();
}

/// Notes what was written, and whether it is right.
fn judged(task: &Task, text: String, answers: &[String], record: &mut Record) -> Result<(), StageError> {
    let filters = task.filters.iter().map(|filter| (format!("exact_match,{}", filter.name), Some(filter)));
    let all: Vec<(String, Option<&Filter>)> =
        if task.filters.is_empty() { vec![("exact_match".to_owned(), None)] } else { filters.collect() };
    for (name, filter) in all {
        let taken = match filter {
            Some(filter) => filtered(filter, &text)?,
            None => text.clone(),
        };
        let right = matches(&task.ignore, &taken, answers)?;
        record.scores.insert(name, f64::from(u8::from(right)));
        if let Some(filter) = filter {
            record.answers.insert(filter.name.clone(), taken);
        }
    }
    record.written = Some(text);
    Ok(())
}

/// Writes texts side by side.
fn write(
    writer: &mut Writer,
    orders: Vec<(usize, Order)>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<(usize, String)>>, StageError> {
    let mut texts = BTreeMap::new();
    for (at, order) in orders {
        texts.insert(writer.add(order).map_err(failed)?, (at, String::new()));
    }
    while writer.waiting() + writer.writing() > 0 {
        if stop() {
            return Ok(None);
        }
        for (ticket, news) in writer.step().map_err(failed)? {
            if let (News::Piece(piece), Some((_, text))) = (news.map_err(failed)?, texts.get_mut(&ticket)) {
                *text += &piece.text;
            }
        }
    }
    Ok(Some(texts.into_values().collect()))
}

/// An error of a model in use as a stage's.
pub(crate) fn failed(error: InferenceError) -> StageError {
    let hint = error.hint().map(str::to_owned);
    let failed = match error {
        InferenceError::Artifact(error) => StageError::from(error),
        other => StageError::new(other.to_string()),
    };
    match hint {
        Some(hint) => failed.help(hint),
        None => failed,
    }
}

/// A model in its folder, with the tokenizer that it has, else with this one.
pub(crate) fn source(
    folder: &Path,
    tokenizer: Option<&Path>,
    weights: Weights,
) -> Result<Source, StageError> {
    let tokenizer = tokenizer.filter(|_| !Source::has_tokenizer(folder));
    Source::open(folder, tokenizer, weights).map_err(failed)
}
