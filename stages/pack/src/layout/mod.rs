//! The second pass: which pieces of which documents make a sequence.
mod balanced;
mod best_fit;
mod window;

use crate::Strategy;
use muse_artifacts::tokens::{Piece, SplitMeta, Stream};
use muse_stage::{Context, StageError};
use window::{PIECES, Window};

/// How often, in sequences, to look whether to stop.
const LOOK_EVERY: u64 = 1 << 12;

/// Lays a stream out in sequences.
pub(crate) fn lay_out(
    context: &Context,
    stream: Stream,
    length: u32,
    strategy: Strategy,
    seed: u64,
) -> Result<SplitMeta, StageError> {
    match strategy {
        Strategy::Concat => concat(context, stream, length),
        Strategy::BestFit => windows(context, stream, length, seed, best_fit::pack, best_fit::order),
        Strategy::Balanced => windows(context, stream, length, seed, balanced::pack, balanced::order),
    }
}

/// One text, cut.
fn concat(context: &Context, stream: Stream, length: u32) -> Result<SplitMeta, StageError> {
    let tokens = stream.tokens();
    let mut layout = stream.lay_out(length)?;
    let mut start = 0;
    while start < tokens {
        // Not more than `length`, so it is a u32.
        let piece = Piece { start, length: (tokens - start).min(length.into()) as u32 };
        layout.push(&[piece])?;
        start += u64::from(piece.length);
        if start / u64::from(length) % LOOK_EVERY == 0 {
            context.go_on()?;
        }
    }
    Ok(layout.finish()?)
}

/// For each piece, longest first, the sequence it goes to. Numbers of sequences count from 0 without a gap.
type Pack = fn(lengths: &[u32], length: u32) -> Vec<u32>;
/// The order of sequences, by the attention cost of each.
type Order = fn(costs: &[u64], seed: u64) -> Vec<u32>;

/// Pieces are gathered until a window is full, and those of a window are packed together, so that memory is bounded and
/// neighbours in the text stay neighbours on disk. A window is large enough to pack as well as all at once.
fn windows(
    context: &Context,
    stream: Stream,
    length: u32,
    seed: u64,
    pack: Pack,
    order: Order,
) -> Result<SplitMeta, StageError> {
    let ends = stream.ends()?;
    let mut layout = stream.lay_out(length)?;
    let mut window = Window::new(length, PIECES, seed, pack, order);
    let mut start = 0;
    for end in ends {
        let end = end?;
        // What does not fit into one sequence is cut into full ones and a rest.
        while start < end {
            let piece = Piece { start, length: (end - start).min(length.into()) as u32 };
            start += u64::from(piece.length);
            if window.push(piece) {
                context.go_on()?;
                window.flush(&mut layout)?;
            }
        }
    }
    window.flush(&mut layout)?;
    Ok(layout.finish()?)
}
