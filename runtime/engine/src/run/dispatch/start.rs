//! What may start, and starts: a stage whose inputs are settled has a key, and is then a hit, waits, or runs.
use super::{Dispatcher, Message, Running, State};
use crate::event::{EventKind, Outcome};
use crate::plan::{inputs, key_parts};
use crate::run::Context;
use crate::run::attempt::{self, End, PortInputs, Task};
use crate::run::slots::Held;
use crate::story::Ways;
use muse_store::{Acquired, Key, Lease, Record, Who};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Scope;
use std::time::Instant;

impl<'a, 'c> Dispatcher<'a, 'c> {
    /// Looks at all stages about which something has changed. A list, not recursion: a chain may be long.
    pub(super) fn look_all(&mut self) {
        while let Some(stage) = self.looks.pop_front() {
            self.look(stage);
        }
    }

    /// Looks at a stage that is not over: when all its inputs are settled it has a key, and then it is a hit,
    /// waits for its twin, or is ready to run.
    fn look(&mut self, stage: usize) {
        if self.stopping || !matches!(self.states[stage], State::Pending | State::Ready(_)) {
            return;
        }
        let context = self.context;
        let Some(key) = self.key_now(stage) else {
            self.states[stage] = State::Pending;
            return;
        };
        if let State::Ready(before) = self.states[stage]
            && before != key
        {
            self.unmake(stage, &before);
        }
        if !context.force.contains(&stage)
            && let Some(record) = self.found(stage, &key)
        {
            return self.settle(stage, record, Outcome::Hit);
        }
        if let Some((maker, twins)) = self.makers.get_mut(&key).filter(|(maker, _)| *maker != stage) {
            if matches!(self.states[*maker], State::Settled(_)) {
                // The maker was forced and is done: its result is ours.
                if let Some(record) = self.found(stage, &key) {
                    return self.settle(stage, record, Outcome::Hit);
                }
            } else {
                twins.push(stage);
                self.states[stage] = State::Ready(key);
                return;
            }
        }
        // Who waits for this key goes on to wait, where its maker is looked at once more.
        self.makers.entry(key).or_insert_with(|| (stage, Vec::new())).0 = stage;
        self.keys[stage] = Some(key);
        self.states[stage] = State::Ready(key);
        self.ready.insert(self.rank[stage], stage);
    }

    /// The key that follows from what the inputs of a stage are now; none while one of them is not made.
    pub(super) fn key_now(&self, stage: usize) -> Option<Key> {
        let made = |input: usize| self.states[input].record();
        let context = self.context;
        let files = &context.plan.files;
        Some(key_parts(context.pipeline, context.lock, files, &self.ways, stage, made)?.key())
    }

    /// The record of a key, if it will do: where content is needed its blobs must be there too.
    fn found(&self, stage: usize, key: &Key) -> Option<Arc<Record>> {
        let record = self.context.store.record(key).ok().flatten()?;
        let lost = self.context.plan.stages[stage].as_ref().and_then(|planned| planned.lost.as_deref());
        if lost == Some(&record) {
            // Its content may be back by now, remade for another stage with the same bytes; the plan said `run` or `maybe`.
            return None;
        }
        let present =
            |record: &Record| record.outputs.values().all(|artifact| self.context.store.present(artifact));
        (!self.content.contains(&stage) || present(&record)).then(|| Arc::new(record))
    }

    pub(super) fn start_ready<'s>(&mut self, scope: &'s Scope<'s, 'a>, sender: &Sender<Message>) {
        let mut from = 0;
        while !self.stopping && !self.slots.full() {
            let Some((rank, stage)) = self.ready.range(from..).next().map(|(&rank, &stage)| (rank, stage))
            else {
                return;
            };
            from = rank + 1;
            if self.waiting.contains_key(&stage) {
                // The other process may have finished.
                self.look(stage);
            }
            if let State::Ready(key) = self.states[stage] {
                self.start(stage, key, scope, sender);
            }
        }
    }

    fn start<'s>(&mut self, stage: usize, key: Key, scope: &'s Scope<'s, 'a>, sender: &Sender<Message>) {
        let context = self.context;
        let spec = &context.pipeline.stages[stage];
        let Some(held) = self.slots.take(&spec.reserves(), spec.kind.description.single_thread) else {
            return;
        };
        let who = Who { stage: spec.name.clone(), ..context.who.clone() };
        let lease = match context.store.lease(&key, &who) {
            Ok(Acquired::Lease(lease)) => Arc::new(lease),
            Ok(Acquired::Busy(holder)) => {
                self.slots.give_back(held);
                let holder = holder.to_string();
                if self.waiting.insert(stage, holder.clone()).as_ref() != Some(&holder) {
                    (self.emit)(EventKind::StageWaiting {
                        stage: spec.name.clone(),
                        key: key.to_string(),
                        holder,
                    });
                }
                return;
            }
            Err(error) => {
                self.slots.give_back(held);
                return self.end(stage, End::Store(error));
            }
        };
        self.ready.remove(&self.rank[stage]);
        self.waiting.remove(&stage);
        // Between the look and the lease another process may have finished.
        if !context.force.contains(&stage)
            && let Some(record) = self.found(stage, &key)
        {
            self.slots.give_back(held);
            return self.settle(stage, record, Outcome::Hit);
        }
        let (states, before) = (&self.states, &self.before);
        // What is made again further up has come to be as it had before, until it shows otherwise.
        let known =
            |above: usize| states[above].record().or_else(|| before.get(&above).map(|record| &**record));
        let settled = inputs(spec).all(|input| states[input].record().is_some());
        let task = |()| task(context, stage, key, Arc::clone(&lease), &held, &self.ways, &known);
        let Some(task) = settled.then_some(()).and_then(task) else {
            self.slots.give_back(held);
            self.states[stage] = State::Pending;
            return;
        };
        let (wanted, got) = (spec.resources.gpu.unwrap_or(0) as usize, held.gpus.len());
        if got < wanted {
            let message = format!("it asks for `gpu: {wanted}`, and {got} can be seen: it runs with those");
            (self.emit)(EventKind::Note { stage: Some(spec.name.clone()), message });
        }
        self.states[stage] = State::Running;
        let control = Arc::clone(&task.control);
        self.running.insert(stage, Running { control, held: Some(held), lease, since: Instant::now() });
        let sender = sender.clone();
        scope.spawn(move || {
            // The dispatcher listens for as long as an attempt is under way.
            let end = attempt::run(context, task, &|news| drop(sender.send(Message::News(stage, news))));
            drop(sender.send(Message::End(stage, end)));
        });
    }
}

/// All that an attempt at a stage needs, where all its inputs are made.
pub(in crate::run) fn task<'c, 'r>(
    context: &Context<'c>,
    stage: usize,
    key: Key,
    lease: Arc<Lease>,
    held: &Held,
    ways: &Ways,
    known: &dyn Fn(usize) -> Option<&'r Record>,
) -> Option<Task<'c>> {
    let spec = &context.pipeline.stages[stage];
    let parts = key_parts(context.pipeline, context.lock, &context.plan.files, ways, stage, known)?;
    let mut ports = Vec::new();
    for port in &spec.inputs {
        let mut entries = Vec::new();
        for entry in port.entries.iter() {
            let artifact = *known(entry.stage)?.outputs.get(&entry.output)?;
            entries.push((entry.stage, entry.name.clone(), artifact));
        }
        ports.push(PortInputs { port: port.name.clone(), list: port.list, entries });
    }
    let story = match spec.kind.description.story {
        true => Some(ways.story(context.pipeline, stage, known)?),
        false => None,
    };
    let files = context.plan.files.of(stage).map(|(name, set)| (name.to_owned(), Arc::clone(set))).collect();
    Some(Task {
        spec,
        key,
        draft: attempt::draft(&parts, key, &context.pipeline.name, &spec.name, context.run_folder.name()),
        inputs: ports,
        files,
        story,
        lease,
        threads: held.threads,
        gpus: held.gpus.clone(),
        control: Arc::default(),
        publish: true,
        from_nothing: context.force.contains(&stage),
    })
}
