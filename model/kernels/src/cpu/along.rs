//! What goes along a text in use: heads that learn and chains, token by token, from what their state has.
use super::learn::{go_on, units};
use super::link::step;
use super::memory::to_fill;
use super::share::share_out;
use crate::decode::Feed;

/// So many numbers for each text.
pub struct State {
    numbers: usize,
    all: Vec<f32>,
}

impl State {
    pub(super) fn new(slots: usize, numbers: usize) -> Self {
        Self { numbers, all: vec![0.0; slots * numbers] }
    }

    /// What each of some texts has, in their order, each once: nothing where its text begins.
    fn of(&mut self, feeds: &[Feed]) -> Vec<&mut [f32]> {
        let mut slots: Vec<Option<&mut [f32]>> = self.all.chunks_exact_mut(self.numbers).map(Some).collect();
        let taken = |feed: &Feed| {
            let state = slots[feed.slot].take().expect("each slot comes once");
            if feed.held == 0 {
                state.fill(0.0);
            }
            state
        };
        feeds.iter().map(taken).collect()
    }
}

/// The tokens of one text, and what is one head's.
struct Task<'a> {
    first: usize,
    tokens: usize,
    head: usize,
    state: &'a mut [f32],
    out: Vec<f32>,
}

/// Heads that learn, of rows of views by head: `[rows, views * heads * width]` -> `[rows, heads * width]`
pub(super) fn learn(views: &[f32], feeds: &[Feed], heads: usize, rate: f32, state: &mut State) -> Vec<f32> {
    let width = (state.numbers / heads).isqrt();
    let rows: usize = feeds.iter().map(|feed| feed.tokens).sum();
    let across = views.len() / rows.max(1);
    let mut first = 0;
    let mut tasks = Vec::with_capacity(feeds.len() * heads);
    for (feed, state) in feeds.iter().zip(state.of(feeds)) {
        for (head, state) in state.chunks_exact_mut(width * width).enumerate() {
            tasks.push(Task { first, tokens: feed.tokens, head, state, out: vec![0.0; feed.tokens * width] });
        }
        first += feed.tokens;
    }
    let three = across == 3 * heads * width;
    share_out(&mut tasks, |task| {
        let rows = views[task.first * across..][..task.tokens * across].chunks_exact(across);
        let head = task.head;
        let view =
            |which: usize| rows.clone().map(move |row| &row[(which * heads + head) * width..][..width]);
        let (key, _) = units(view(usize::from(three)));
        if three {
            let ((query, _), value) = (units(view(0)), view(2).flatten().copied().collect::<Vec<f32>>());
            go_on([&query, &key, &value], rate, task.state, &mut task.out);
        } else {
            go_on([&key; 3].map(Vec::as_slice), rate, task.state, &mut task.out);
        }
    });
    let mut all = to_fill(rows * heads * width);
    for task in tasks {
        for (at, row) in task.out.chunks_exact(width).enumerate() {
            all[((task.first + at) * heads + task.head) * width..][..width].copy_from_slice(row);
        }
    }
    all
}

/// What chains find, token by token, of rows of potentials and couplings `[rows, 2 chains]`.
pub(super) fn link(links: &[f32], feeds: &[Feed], eta: &[f32], state: &mut State) -> Vec<f32> {
    let (across, mut all) = (2 * eta.len(), to_fill(links.len()));
    let mut rows = links.chunks_exact(across).zip(all.chunks_exact_mut(across));
    for (feed, state) in feeds.iter().zip(state.of(feeds)) {
        for (links, out) in (&mut rows).take(feed.tokens) {
            step(links, eta, state, out);
        }
    }
    all
}
