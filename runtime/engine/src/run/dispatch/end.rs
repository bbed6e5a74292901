//! What follows from a result, and from there being none: stages below look again, are told anew, or are blocked.
use super::{Dispatcher, State};
use crate::event::{EventKind, Outcome, OutputInfo};
use crate::run::attempt::End;
use muse_store::{Key, Record, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Dispatcher<'_, '_> {
    pub(super) fn end(&mut self, stage: usize, end: End) {
        let since = self.running.remove(&stage).map_or(Duration::ZERO, |running| running.since.elapsed());
        self.ready.remove(&self.rank[stage]);
        self.waiting.remove(&stage);
        match end {
            End::Made(record) if self.key_now(stage) == Some(record.key) => {
                self.settle(stage, record, Outcome::Ran)
            }
            // An input was made again meanwhile, and may have come out with other bytes.
            End::Made(record) => {
                self.unmake(stage, &record.key);
                self.states[stage] = State::Pending;
                self.looks.push_back(stage);
            }
            End::Damaged(inputs) => {
                for input in inputs {
                    let name = &self.context.pipeline.stages[input].name;
                    let message = format!("the result of `{name}` is damaged or lost; it is made again");
                    (self.emit)(EventKind::Note { stage: Some(name.clone()), message });
                    self.remake(input);
                }
                self.states[stage] = State::Pending;
                self.looks.push_back(stage);
            }
            End::Interrupted => self.over(stage, Outcome::Interrupted, since, None, None, None),
            End::Failed { error, help, log } => {
                self.stopping |= !self.context.options.keep_going;
                self.over(stage, Outcome::Failed, since, Some(error), help, log);
            }
            End::Store(error @ StoreError::Fenced { .. }) => {
                // This process was away for so long that another took over: that one's result is the result.
                let stage_name = self.context.pipeline.stages[stage].name.clone();
                (self.emit)(EventKind::Note { stage: Some(stage_name), message: error.to_string() });
                self.states[stage] = State::Pending;
                self.looks.push_back(stage);
            }
            End::Store(error) => {
                self.stopping = true;
                self.over(stage, Outcome::Failed, since, Some(error.to_string()), error.help(), None);
                self.ended.store_error.get_or_insert(error);
            }
        }
    }

    /// A settled stage whose content somebody needs and the store has no more.
    fn remake(&mut self, stage: usize) {
        self.content.insert(stage);
        self.reopen(stage);
    }

    /// A settled stage is looked at once more.
    fn reopen(&mut self, stage: usize) {
        if let State::Settled(record) = &self.states[stage] {
            let record = Arc::clone(record);
            self.unmake(stage, &record.key);
            self.before.insert(stage, record);
            self.states[stage] = State::Pending;
            self.looks.push_back(stage);
        }
    }

    /// A stage is no longer the maker of a key; who waited for it to be looks again.
    pub(super) fn unmake(&mut self, stage: usize, key: &Key) {
        if self.makers.get(key).is_some_and(|(maker, _)| *maker == stage)
            && let Some((_, twins)) = self.makers.remove(key)
        {
            self.looks.extend(twins);
        }
    }

    pub(super) fn settle(&mut self, stage: usize, record: Arc<Record>, outcome: Outcome) {
        self.ready.remove(&self.rank[stage]);
        self.waiting.remove(&stage);
        self.tell_settled(stage, &record, outcome);
        let key = record.key;
        if self.before.remove(&stage).is_some_and(|before| before.outputs != record.outputs) {
            // What was settled below stands on bytes that are no more.
            for at in 0..self.below[stage].len() {
                self.reopen(self.below[stage][at]);
            }
        }
        let another_way = self.ways.settle(self.context.pipeline, stage, &record);
        self.states[stage] = State::Settled(record);
        if another_way {
            self.retell(stage);
        }
        let twins = match self.makers.get_mut(&key) {
            Some((maker, twins)) if *maker == stage => std::mem::take(twins),
            _ => Vec::new(),
        };
        self.looks.extend(self.below[stage].iter().copied().chain(twins));
    }

    /// The result of a stage came to be in another way than was known: what is settled below did too, and stages that
    /// are told of it look again. In the plan's order, so each is seen once.
    fn retell(&mut self, stage: usize) {
        let context = self.context;
        let mut work = BTreeSet::from([self.rank[stage]]);
        while let Some(rank) = work.pop_first() {
            let above = context.plan.order[rank];
            for at in 0..self.below[above].len() {
                let below = self.below[above][at];
                if let Some(record) = self.states[below].record()
                    && self.ways.settle(context.pipeline, below, record)
                {
                    work.insert(self.rank[below]);
                }
                if context.pipeline.stages[below].kind.description.story {
                    self.reopen(below);
                    self.looks.push_back(below);
                }
            }
        }
    }

    pub(super) fn tell_settled(&mut self, stage: usize, record: &Record, outcome: Outcome) {
        if outcome == Outcome::Hit {
            self.ended.saved_seconds += record.seconds;
        }
        let outputs = record.outputs.iter().map(|(name, artifact)| {
            (name.clone(), OutputInfo { digest: artifact.digest.to_string(), bytes: artifact.bytes })
        });
        self.ended.outcomes[stage] = Some(outcome);
        self.ended.keys[stage] = Some(record.key);
        (self.emit)(EventKind::StageFinished {
            stage: self.context.pipeline.stages[stage].name.clone(),
            outcome,
            seconds: record.seconds,
            key: Some(record.key.to_string()),
            outputs: outputs.collect(),
            error: None,
            help: None,
            log: None,
        });
    }

    fn over(
        &mut self,
        stage: usize,
        outcome: Outcome,
        since: Duration,
        error: Option<String>,
        help: Option<String>,
        log: Option<PathBuf>,
    ) {
        let name = self.context.pipeline.stages[stage].name.clone();
        self.ended.outcomes[stage] = Some(outcome);
        self.states[stage] = State::Over;
        (self.emit)(EventKind::StageFinished {
            stage: name.clone(),
            outcome,
            seconds: since.as_secs_f64(),
            key: self.keys[stage].map(|key| key.to_string()),
            outputs: BTreeMap::new(),
            error,
            help,
            log: log.map(|log| log.display().to_string()),
        });
        if outcome == Outcome::Interrupted {
            return;
        }
        // All that stands below cannot be made, nor can what would have been made by this stage.
        let mut work = vec![stage];
        while let Some(dead) = work.pop() {
            let twins = self.keys[dead].and_then(|key| self.makers.remove(&key)).map(|(_, twins)| twins);
            let twins = twins.unwrap_or_default();
            for blocked in self.below[dead].iter().copied().chain(twins).collect::<Vec<_>>() {
                if matches!(self.states[blocked], State::Pending | State::Ready(_)) {
                    self.states[blocked] = State::Over;
                    self.ready.remove(&self.rank[blocked]);
                    self.ended.outcomes[blocked] = Some(Outcome::Blocked);
                    (self.emit)(EventKind::StageFinished {
                        stage: self.context.pipeline.stages[blocked].name.clone(),
                        outcome: Outcome::Blocked,
                        seconds: 0.0,
                        key: None,
                        outputs: BTreeMap::new(),
                        error: Some(format!("`{name}` failed")),
                        help: None,
                        log: None,
                    });
                    work.push(blocked);
                }
            }
        }
    }
}
