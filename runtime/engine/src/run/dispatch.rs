//! The loop of a run: starts what may start, hears what happened, and keeps the clock.
//!
//! A stage goes through these states, forwards only but for one case: a result whose content turns out to be
//! lost or damaged when somebody needs it goes back to `Pending` and is made again. Where it comes out with other
//! bytes, the stages that were settled below it go back as well.
//!
//! ```text
//! Pending ──all inputs settled──▶ Ready ──key known, result there──▶ Settled (hit)
//!    │                              ├──another process has the lease──▶ Ready, looked at again shortly
//!    │ an input failed              └──lease and slots taken──▶ Running ──▶ Settled (ran) | Failed | Interrupted
//!    ▼                                                             │ an input is damaged
//! Blocked                                                          └──▶ Pending, behind that input
//! ```
use super::Context;
use super::attempt::{self, End, News, PortInputs, Task};
use super::process::{Control, GLANCE};
use super::slots::{Held, Slots};
use crate::event::{EventKind, Outcome, OutputInfo};
use crate::plan::{downstream, inputs, key_parts};
use crate::story::Ways;
use muse_stage::StageEvent;
use muse_store::{Acquired, Key, Lease, Record, StoreError, Who};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// How a dispatch ended.
pub(super) struct Ended {
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) keys: Vec<Option<Key>>,
    pub(super) interrupted: bool,
    pub(super) store_error: Option<StoreError>,
    pub(super) saved_seconds: f64,
}

#[derive(Clone, Debug)]
enum State {
    /// Waits for inputs.
    Pending,
    /// Waits for slots, for a lease, or for a stage with the same key.
    Ready(Key),
    /// An attempt is under way.
    Running,
    /// Its result is known.
    Settled(Arc<Record>),
    /// It made no result.
    Over,
}

impl State {
    fn record(&self) -> Option<&Record> {
        match self {
            Self::Settled(record) => Some(record),
            _ => None,
        }
    }
}

const HEARTBEAT: Duration = Duration::from_secs(10);

struct Running {
    control: Arc<Control>,
    held: Option<Held>,
    lease: Arc<Lease>,
    since: Instant,
}

enum Message {
    News(usize, News),
    End(usize, End),
}

struct Dispatcher<'a, 'c> {
    context: &'a Context<'c>,
    emit: &'a mut dyn FnMut(EventKind),
    states: Vec<State>,
    below: Vec<Vec<usize>>,
    /// Each wanted stage's place in the plan; what is ready starts in this order.
    rank: Vec<usize>,
    ready: BTreeMap<usize, usize>,
    /// Stages about which something has changed.
    looks: VecDeque<usize>,
    /// Ready stages that wait for another process, with the holder that was told of.
    waiting: HashMap<usize, String>,
    /// The key that a stage is the maker of.
    keys: Vec<Option<Key>>,
    /// The stage that makes a key, and the stages that wait for it to.
    makers: HashMap<Key, (usize, Vec<usize>)>,
    running: HashMap<usize, Running>,
    /// What stages that are made again had made before.
    before: HashMap<usize, Arc<Record>>,
    /// How results came to be, for stages that are told.
    ways: Ways,
    /// Stages whose content is needed, not only their record.
    content: HashSet<usize>,
    slots: Slots,
    stopping: bool,
    ended: Ended,
}

/// Brings every wanted stage of the plan to an end.
pub(super) fn dispatch(context: &Context<'_>, emit: &mut dyn FnMut(EventKind)) -> Ended {
    let plan = context.plan;
    let count = context.pipeline.stages.len();
    let mut rank = vec![0; count];
    plan.order.iter().enumerate().for_each(|(at, &stage)| rank[stage] = at);
    let jobs = context.options.jobs.unwrap_or(context.options.machine.cores as usize);
    let lost = plan.iter().filter(|(_, planned)| planned.is_work() && planned.key.is_some());
    let mut dispatcher = Dispatcher {
        context,
        emit,
        states: vec![State::Pending; count],
        below: downstream(context.pipeline, &plan.order),
        rank,
        ready: BTreeMap::new(),
        looks: VecDeque::new(),
        waiting: HashMap::new(),
        keys: vec![None; count],
        makers: HashMap::new(),
        running: HashMap::new(),
        before: HashMap::new(),
        ways: plan.ways.clone(),
        content: lost.map(|(stage, _)| stage).chain(plan.targets.iter().copied()).collect(),
        slots: Slots::new(&context.options.machine, jobs),
        stopping: false,
        ended: Ended {
            outcomes: vec![None; count],
            keys: vec![None; count],
            interrupted: false,
            store_error: None,
            saved_seconds: 0.0,
        },
    };
    for (stage, planned) in plan.iter() {
        if let Some(record) = planned.record.as_ref().filter(|_| !planned.is_work()) {
            dispatcher.tell_settled(stage, record, Outcome::Hit);
            dispatcher.states[stage] = State::Settled(Arc::clone(record));
        }
    }
    if plan.has_work() {
        dispatcher.looks.extend(plan.order.iter().copied());
        std::thread::scope(|scope| dispatcher.work(scope));
    }
    dispatcher.ended
}

impl<'a, 'c> Dispatcher<'a, 'c> {
    fn work<'s>(&mut self, scope: &'s Scope<'s, 'a>) {
        let (sender, receiver) = channel();
        let mut beat = Instant::now();
        loop {
            self.look_all();
            self.start_ready(scope, &sender);
            if !self.looks.is_empty() {
                continue;
            }
            let waits = !self.stopping && !self.ready.is_empty();
            if self.running.is_empty() && !waits {
                return;
            }
            self.hear(&receiver);
            self.keep_time();
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                // A heartbeat that fails is not yet a lost lease; publishing will tell.
                self.running.values().for_each(|running| drop(running.lease.heartbeat()));
                self.context.run_folder.heartbeat();
            }
        }
    }

    /// Looks at all stages about which something has changed. A list, not recursion: a chain may be long.
    fn look_all(&mut self) {
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
    fn key_now(&self, stage: usize) -> Option<Key> {
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

    fn start_ready<'s>(&mut self, scope: &'s Scope<'s, 'a>, sender: &Sender<Message>) {
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

    /// Waits for a message, but no longer than a glance, and takes all that have come.
    fn hear(&mut self, receiver: &Receiver<Message>) {
        let mut next = receiver.recv_timeout(GLANCE).ok();
        while let Some(message) = next {
            match message {
                Message::News(stage, news) => self.news(stage, news),
                Message::End(stage, end) => {
                    if let Some(held) = self.running.get_mut(&stage).and_then(|running| running.held.take()) {
                        self.slots.give_back(held);
                    }
                    self.end(stage, end);
                }
            }
            next = receiver.try_recv().ok();
        }
    }

    fn news(&mut self, stage: usize, news: News) {
        let name = self.context.pipeline.stages[stage].name.clone();
        let event = match news {
            News::Started { attempt, key } => {
                EventKind::StageStarted { stage: name, key: key.to_string(), attempt }
            }
            News::Event(StageEvent::Progress { done, total, unit }) => {
                EventKind::Progress { stage: name, done, total, unit }
            }
            News::Event(StageEvent::Metric { step, name: metric, value }) => {
                EventKind::Metric { stage: name, step, name: metric, value }
            }
            News::Event(_) => return,
            News::Note(message) => EventKind::Note { stage: Some(name), message },
            News::GoesOn { run, stage: made } => return self.context.run_folder.goes_on(&name, run, made),
            News::Idle => {
                if let Some(held) = self.running.get_mut(&stage).and_then(|running| running.held.take()) {
                    self.slots.give_back(held);
                }
                return;
            }
        };
        (self.emit)(event);
    }

    fn end(&mut self, stage: usize, end: End) {
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
    fn unmake(&mut self, stage: usize, key: &Key) {
        if self.makers.get(key).is_some_and(|(maker, _)| *maker == stage)
            && let Some((_, twins)) = self.makers.remove(key)
        {
            self.looks.extend(twins);
        }
    }

    fn settle(&mut self, stage: usize, record: Arc<Record>, outcome: Outcome) {
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

    fn tell_settled(&mut self, stage: usize, record: &Record, outcome: Outcome) {
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

    /// Signals and deadlines.
    fn keep_time(&mut self) {
        let grace = self.context.options.grace;
        let asked = self.context.interrupts.load(Ordering::Relaxed);
        if asked > 0 {
            self.stopping = true;
            self.ended.interrupted = true;
        }
        for running in self.running.values() {
            running.control.keep_time(asked, grace);
        }
    }
}

/// All that an attempt at a stage needs, where all its inputs are made.
pub(super) fn task<'c, 'r>(
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
