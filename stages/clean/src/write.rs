//! The last reading: what stays is written, and what goes is counted.
use crate::fate::{Fate, Rule};
use crate::inputs::{Bar, Inputs, Item};
use crate::judge::{Judge, said};
use crate::mix::Mix;
use crate::params::{Dedup, Params};
use crate::report::{Count, Tally};
use crate::same::Copies;
use crate::spool::Spool;
use crate::survey::{Survey, survey};
use muse_artifacts::corpus::{Batch, CorpusWriter, Document, DocumentRef};
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use serde_json::Value;
use std::collections::BTreeSet;

/// A document that stays.
struct Stays {
    /// Its number.
    number: u32,
    /// Where it stands in its batch.
    row: usize,
    /// How often it comes in this reading.
    times: u32,
    /// The document as normalisation made it, where that changed it.
    changed: Option<Document>,
}

/// Some documents, ready to be written.
struct Ready {
    bytes: u64,
    batches: Vec<(Batch, Vec<Stays>)>,
    tally: Tally,
}

/// What is known of all documents before they are read for the last time.
struct Plan<'a> {
    params: &'a Params,
    judge: Judge<'a>,
    survey: Option<Survey>,
    mix: Option<Mix>,
    /// What samples are copies of.
    originals: BTreeSet<u32>,
}

/// Does the whole work.
pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let inputs = Inputs::open(context)?;
    let surveyed = params.dedup != Dedup::None || !params.weights.is_empty();
    let before = if surveyed { inputs.bytes } else { 0 };
    let mut bar = Bar::new(before.saturating_add(inputs.bytes));
    let mut survey = if surveyed { Some(survey(context, params, &inputs, &mut bar)?) } else { None };
    let mix = match &mut survey {
        Some(Survey { fates, sizes: Some(sizes), .. }) => Some(Mix::decide(params, &inputs, fates, sizes)?),
        _ => None,
    };
    let originals = survey.iter().flat_map(|survey| survey.copies.values().copied()).collect();
    let plan = Plan { params, judge: Judge::new(params), survey, mix, originals };

    let bytes = plan.bytes(&inputs);
    bar.expect(before.saturating_add(if params.shuffle {
        inputs.bytes.saturating_add(bytes)
    } else {
        bytes
    }));
    let mut writer = CorpusWriter::create(&context.output("corpus"))?;
    let mut spool = if params.shuffle { Some(Spool::create(context, params.seed, bytes)?) } else { None };
    let mut tally = Tally::default();
    let items = inputs.items(|entry| plan.rounds(entry));
    in_order(
        context.threads(),
        items,
        |item| plan.ready(item),
        |ready: Ready| {
            context.go_on()?;
            for (batch, stays) in &ready.batches {
                let mut rows = batch.iter().enumerate();
                for stays in stays {
                    let Some((_, document)) = rows.by_ref().find(|(row, _)| *row == stays.row) else {
                        continue;
                    };
                    let document = stays.changed.as_ref().map_or(document, Document::borrow);
                    match &mut spool {
                        Some(spool) => spool.push(stays.number, stays.times, &document)?,
                        None => writer.push(&document)?,
                    }
                }
            }
            tally.add(ready.tally);
            bar.add(context, ready.bytes);
            Ok::<(), StageError>(())
        },
    )?;
    if let Some(spool) = spool {
        spool.write(context, &mut bar, &mut writer)?;
    }
    tally.anything_left(writer.totals())?;
    let none = Copies::new();
    let names: Vec<&str> = inputs.entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut report = tally.report(plan.survey.as_ref().map_or(&none, |survey| &survey.copies), &names);
    if let Some(mix) = &plan.mix {
        report.insert("mix".into(), mix.report(params.weigh));
    }
    writer.finish(Value::Object(report))?;
    bar.finish(context);
    Ok(())
}

impl Plan<'_> {
    /// About how many bytes will be written, what is dropped counted in.
    fn bytes(&self, inputs: &Inputs) -> u64 {
        let rounds = |entry| u64::from(self.mix.as_ref().map_or(1, |mix| mix.rounds(entry)));
        let all = inputs.entries.iter().enumerate().map(|(at, entry)| entry.bytes.saturating_mul(rounds(at)));
        all.fold(0, u64::saturating_add)
    }

    /// How often the documents of an entry are read: where order stays, what comes again comes behind all others.
    fn rounds(&self, entry: usize) -> u32 {
        match &self.mix {
            Some(mix) if !self.params.shuffle => mix.rounds(entry),
            _ => 1,
        }
    }

    /// What becomes of a document.
    fn fate(&self, number: u32, document: &DocumentRef<'_>) -> Fate {
        let known = self.survey.as_ref().and_then(|survey| survey.fates.get(number as usize));
        let judged =
            || self.judge.failed(&said(document)).map_or(Fate::Kept, |failed| Fate::Dropped(failed.rule));
        known.copied().unwrap_or_else(judged)
    }

    /// How often a document comes in this round.
    fn times(&self, fate: Fate, entry: usize, round: u32) -> u32 {
        let whole = self.mix.as_ref().map_or(1, |mix| mix.whole(entry));
        let all = match fate {
            Fate::Kept => whole,
            Fate::Extra => whole.saturating_add(1),
            Fate::Dropped(_) => 0,
        };
        if self.params.shuffle { all } else { u32::from(round < all) }
    }

    fn ready(&self, item: Item<'_>) -> Result<Ready, StageError> {
        let (entry, round, mut number) = (item.entry, item.round, item.first);
        let mut ready = Ready { bytes: item.bytes(), batches: Vec::new(), tally: Tally::default() };
        for batch in item.batches()? {
            let batch = batch?;
            let mut stay = Vec::new();
            for (row, document) in batch.iter().enumerate() {
                let decided = self.decide(&mut ready.tally, (entry, round, number), &document);
                if let Some((times, changed)) = decided {
                    stay.push(Stays { number, row, times, changed });
                }
                number = number.saturating_add(1);
            }
            if !stay.is_empty() {
                ready.batches.push((batch, stay));
            }
        }
        Ok(ready)
    }

    /// How often a document comes now, and as what; and counts it.
    fn decide(
        &self,
        tally: &mut Tally,
        (entry, round, number): (usize, u32, u32),
        read: &DocumentRef<'_>,
    ) -> Option<(u32, Option<Document>)> {
        let changed = self.params.normalize.document(read);
        let document = changed.as_ref().map_or_else(|| read.clone(), Document::borrow);
        let fate = self.fate(number, &document);
        if round == 0 {
            tally.read.add(Count::of(read.bytes()));
            match fate {
                Fate::Dropped(rule) => {
                    tally.drop((entry, number), rule, read, || self.value(rule, &document))
                }
                _ => tally.changed += u64::from(changed.is_some()),
            }
            if self.originals.contains(&number) {
                tally.original(number, read);
            }
        }
        let times = self.times(fate, entry, round);
        (times > 0).then_some((times, changed))
    }

    /// What a rule measured, for a sample.
    fn value(&self, rule: Rule, document: &DocumentRef<'_>) -> Value {
        match rule {
            Rule::Exact | Rule::Near | Rule::Mix => Value::Null,
            _ => self.judge.failed(&said(document)).map_or(Value::Null, |failed| failed.value),
        }
    }
}
