//! The loop of a run: `start` starts what may start, `end` takes what comes of it; between them it hears and keeps the clock.
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
mod end;
mod start;

pub(super) use start::task;

use super::Context;
use super::attempt::{End, News};
use super::process::{Control, GLANCE};
use super::slots::{Held, Slots};
use crate::event::{EventKind, Outcome};
use crate::plan::downstream;
use crate::story::Ways;
use muse_stage::StageEvent;
use muse_store::{Key, Lease, Record, StoreError};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
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
