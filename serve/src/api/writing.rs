//! Texts that are being written for one request: their news as they come, and an end when nobody waits any more.
use crate::app::App;
use crate::error::ApiError;
use muse_inference::{Ended, InferenceError, Listener, News, Order, Piece};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Heard = (usize, Result<News, InferenceError>);

/// Texts by their numbers.
pub(super) struct Writing {
    app: Arc<App>,
    heard: UnboundedReceiver<Heard>,
    begin: Instant,
    /// Which have begun.
    begun: Vec<bool>,
    open: usize,
}

/// Passes on what it hears. A text that nobody waits for is not written on.
struct Ear {
    number: usize,
    to: UnboundedSender<Heard>,
}

impl Listener for Ear {
    fn hear(&mut self, news: Result<News, InferenceError>) -> bool {
        self.to.send((self.number, news)).is_ok()
    }

    fn is_gone(&self) -> bool {
        self.to.is_closed()
    }
}

impl Writing {
    /// Gives orders. No more wait than may, and no more is kept than the orders say: each has an end.
    pub(super) fn begin(app: &Arc<App>, orders: Vec<Order>) -> Result<Self, ApiError> {
        let (to, heard) = unbounded_channel();
        let count = orders.len();
        for (number, order) in orders.into_iter().enumerate() {
            app.model.say(order, Box::new(Ear { number, to: to.clone() }))?;
        }
        Ok(Self {
            app: Arc::clone(app),
            heard,
            begin: Instant::now(),
            begun: vec![false; count],
            open: count,
        })
    }

    /// The next news and the number of its text; `None` when all are over.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<News, ApiError>)> {
        if self.open == 0 {
            return None;
        }
        let Some((number, news)) = self.heard.recv().await else {
            // The model's thread is gone, and with it who would have told.
            self.open = 0;
            let why = self.app.model.stopped().unwrap_or_default();
            return Some((0, Err(InferenceError::Stopped(why).into())));
        };
        let metrics = &self.app.metrics;
        if let Some(begun) = self.begun.get_mut(number).filter(|begun| !**begun) {
            *begun = true;
            metrics.first_token(self.begin.elapsed());
        }
        if !matches!(news, Ok(News::Piece(_))) {
            self.open -= 1;
            metrics.whole(self.begin.elapsed());
        }
        Some((number, news.map_err(ApiError::from)))
    }

    /// All texts, whole.
    pub(super) async fn all(mut self) -> Result<Vec<(Piece, Ended)>, ApiError> {
        let mut texts: Vec<(Piece, Option<Ended>)> = self.begun.iter().map(|_| Default::default()).collect();
        while let Some((number, news)) = self.next().await {
            let (news, Some((whole, ended))) = (news?, texts.get_mut(number)) else { continue };
            match news {
                News::Piece(Piece { text, tokens }) => {
                    whole.text += &text;
                    whole.tokens.extend(tokens);
                }
                News::Ended(end) => *ended = Some(end),
            }
        }
        Ok(texts.into_iter().filter_map(|(piece, ended)| Some((piece, ended?))).collect())
    }
}
