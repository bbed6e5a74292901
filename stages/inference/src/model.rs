//! A model in a thread of its own: whoever holds it gives orders and hears what becomes of them.
use crate::engine::{Device, load};
use crate::{Engine, InferenceError, Kept, News, Order, Result, Room, Source, Ticket, Writer};
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::kernels::with_threads;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How a model runs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where.
    pub device: Device,
    /// What its weights are kept as.
    pub kept: Kept,
    /// Texts at once, and how long each may be.
    pub room: Room,
    /// Threads, where it runs on the processor.
    pub threads: usize,
    /// The most orders that may wait for a slot.
    pub queue: usize,
}

/// Hears of a text.
pub trait Listener: Send {
    /// What is new. Whoever does not want to hear more says so by `false`, and the text is not written on.
    fn hear(&mut self, news: Result<News>) -> bool;
    /// Whether nobody listens any more.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What a model has done so far.
#[derive(Debug, Default)]
pub struct Totals {
    /// Texts that are being written.
    pub writing: AtomicUsize,
    /// Orders that wait.
    pub waiting: AtomicUsize,
    /// Tokens of prompts that were computed.
    pub prompt: AtomicU64,
    /// Tokens of prompts that were not computed again.
    pub cached: AtomicU64,
    /// Tokens that were written.
    pub written: AtomicU64,
    /// Texts that are over.
    pub texts: AtomicU64,
}

/// A model that runs. Clones are the same model; it goes when the last is dropped and the last text is over.
#[derive(Clone)]
pub struct Model {
    orders: Sender<(Order, Box<dyn Listener>)>,
    shared: Arc<Shared>,
}

struct Shared {
    tokenizer: Arc<Tokenizer>,
    room: Room,
    queue: usize,
    totals: Totals,
    /// Why it stopped, where it did.
    stopped: Mutex<Option<String>>,
}

impl Model {
    /// Brings a model to its device, which takes a while.
    pub fn start(source: Source, settings: Settings) -> Result<Self> {
        let Settings { device, kept, room, .. } = settings;
        let Source { model, tensors, tokenizer } = source;
        Self::start_with(tokenizer, settings, move || load(&model, &tensors, device, kept, room))
    }

    /// The same with an engine that is made in the thread that it is used in.
    pub(crate) fn start_with(
        tokenizer: Tokenizer,
        settings: Settings,
        engine: impl FnOnce() -> Result<Box<dyn Engine>> + Send + 'static,
    ) -> Result<Self> {
        let (orders, incoming) = channel();
        let (ready, started) = channel();
        let Settings { room, threads, queue, .. } = settings;
        let tokenizer = Arc::new(tokenizer);
        let (totals, stopped) = (Totals::default(), Mutex::default());
        let shared = Arc::new(Shared { tokenizer: Arc::clone(&tokenizer), room, queue, totals, stopped });
        let inner = Arc::clone(&shared);
        let mut listeners = HashMap::new();
        let work = move |listeners: &mut Listeners, incoming: &Orders| {
            let engine = match engine() {
                Ok(engine) => engine,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return Ok(());
                }
            };
            drop(ready.send(Ok(())));
            Desk { writer: Writer::new(engine, tokenizer), listeners, shared: &inner }.work(incoming)
        };
        let inner = Arc::clone(&shared);
        let guarded = move || {
            let work = || with_threads(threads, || work(&mut listeners, &incoming));
            match catch_unwind(AssertUnwindSafe(work)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => inner.stop(Some(error.to_string())),
                Err(panic) => {
                    let said = panic.downcast_ref::<String>().cloned();
                    inner.stop(said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())));
                }
            }
            // Whoever still listens or comes with an order hears nothing more, and then asks why.
            drop((listeners, incoming));
        };
        let spawned = thread::Builder::new().name("model".into()).spawn(guarded);
        spawned.map_err(|error| InferenceError::Stopped(error.to_string()))?;
        let model = Self { orders, shared };
        started.recv().unwrap_or_else(|_| Err(model.shared.gone()))?;
        Ok(model)
    }

    /// What its tokens stand for.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.shared.tokenizer
    }

    /// How many texts have room, and how long they may be.
    pub fn room(&self) -> Room {
        self.shared.room
    }

    /// What it has done so far.
    pub fn totals(&self) -> &Totals {
        &self.shared.totals
    }

    /// Why it stopped, where it did.
    pub fn stopped(&self) -> Option<String> {
        self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives an order, of which the listener hears. Refused at once where too many wait.
    pub fn say(&self, order: Order, listener: Box<dyn Listener>) -> Result<()> {
        let waiting = &self.shared.totals.waiting;
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        if before >= self.shared.queue {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(InferenceError::Busy { waiting: before });
        }
        self.orders.send((order, listener)).map_err(|_| self.shared.gone())
    }

    /// Gives an order whose news are waited for.
    pub fn answer(&self, order: Order) -> Result<Answer> {
        struct Ear(Sender<Result<News>>, Arc<()>);
        impl Listener for Ear {
            fn hear(&mut self, news: Result<News>) -> bool {
                self.0.send(news).is_ok()
            }
            fn is_gone(&self) -> bool {
                // The answer holds the other.
                Arc::strong_count(&self.1) < 2
            }
        }
        let (sender, news) = channel();
        let alive = Arc::new(());
        self.say(order, Box::new(Ear(sender, Arc::clone(&alive))))?;
        Ok(Answer { news, model: self.clone(), _alive: alive })
    }
}

/// What becomes of an order. Dropped early, the text is not written on.
pub struct Answer {
    news: Receiver<Result<News>>,
    model: Model,
    _alive: Arc<()>,
}

impl Answer {
    /// What is new, when it comes. Ends with [`News::Ended`] or an error.
    pub fn wait(&self) -> Result<News> {
        self.news.recv().unwrap_or_else(|_| Err(self.model.shared.gone()))
    }

    /// The same, for so long; `None` where nothing came.
    pub fn wait_for(&self, time: Duration) -> Option<Result<News>> {
        match self.news.recv_timeout(time) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(self.model.shared.gone())),
        }
    }
}

impl Shared {
    fn stop(&self, said: Option<String>) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = Some(said.unwrap_or_else(|| "it did not say why".into()));
    }

    fn gone(&self) -> InferenceError {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        InferenceError::Stopped(stopped.clone().unwrap_or_else(|| "it was asked to".into()))
    }
}

/// Where orders are taken and news given out.
struct Desk<'a> {
    writer: Writer,
    listeners: &'a mut Listeners,
    shared: &'a Shared,
}

type Listeners = HashMap<Ticket, Box<dyn Listener>>;
type Orders = Receiver<(Order, Box<dyn Listener>)>;

impl Desk<'_> {
    /// Works until nobody can order any more, or the model fails: then nobody hears of it but by its silence.
    fn work(mut self, incoming: &Orders) -> Result<()> {
        loop {
            // With nothing to do it sleeps until somebody comes.
            if self.listeners.is_empty() {
                match incoming.recv() {
                    Ok((order, listener)) => self.take(order, listener),
                    Err(_) => return Ok(()),
                }
            }
            loop {
                match incoming.try_recv() {
                    Ok((order, listener)) => self.take(order, listener),
                    Err(TryRecvError::Empty) => break,
                    // Nobody can order any more, but what was ordered is written.
                    Err(TryRecvError::Disconnected) if self.listeners.is_empty() => return Ok(()),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            self.step()?;
        }
    }

    fn take(&mut self, order: Order, mut listener: Box<dyn Listener>) {
        match self.writer.add(order) {
            Ok(ticket) => drop(self.listeners.insert(ticket, listener)),
            Err(error) => {
                self.shared.totals.waiting.fetch_sub(1, Ordering::Relaxed);
                listener.hear(Err(error));
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        let gone: Vec<Ticket> = self
            .listeners
            .iter()
            .filter(|(_, listener)| listener.is_gone())
            .map(|(ticket, _)| *ticket)
            .collect();
        gone.into_iter().for_each(|ticket| self.forget(ticket));
        let waited = self.writer.waiting();
        let news = self.writer.step()?;
        let totals = &self.shared.totals;
        totals.waiting.fetch_sub(waited - self.writer.waiting(), Ordering::Relaxed);
        // Whoever hears that a text is over and asks for the totals finds it gone.
        self.count();
        news.into_iter().for_each(|(ticket, news)| self.tell(ticket, news));
        // Whoever hears the news may leave, and then nobody asks again for a while.
        self.count();
        Ok(())
    }

    fn count(&self) {
        self.shared.totals.writing.store(self.writer.writing(), Ordering::Relaxed);
    }

    fn tell(&mut self, ticket: Ticket, news: Result<News>) {
        let over = !matches!(news, Ok(News::Piece(_)));
        if let Ok(News::Ended(ended)) = &news {
            let totals = &self.shared.totals;
            let add = |total: &AtomicU64, count: usize| total.fetch_add(count as u64, Ordering::Relaxed);
            add(&totals.prompt, ended.prompt - ended.cached);
            add(&totals.cached, ended.cached);
            add(&totals.written, ended.written);
            add(&totals.texts, 1);
        }
        let listens = self.listeners.get_mut(&ticket).is_some_and(|listener| listener.hear(news));
        if over {
            self.listeners.remove(&ticket);
        } else if !listens {
            self.forget(ticket);
        }
    }

    /// Nobody listens: the text is not written on.
    fn forget(&mut self, ticket: Ticket) {
        let waited = self.writer.waiting();
        self.writer.cancel(ticket);
        self.listeners.remove(&ticket);
        self.shared.totals.waiting.fetch_sub(waited - self.writer.waiting(), Ordering::Relaxed);
    }
}
