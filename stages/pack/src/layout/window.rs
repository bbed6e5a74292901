//! Some pieces, packed together.
use super::{Order, Pack};
use crate::mix::mix;
use muse_artifacts::tokens::{Layout, Piece};
use muse_stage::StageError;
use std::cmp::Reverse;

/// So many pieces are packed together: what is lost at a window's end is a few sequences of many thousand.
const PIECES: usize = 1 << 20;

pub(super) struct Window {
    length: u32,
    seed: u64,
    pack: Pack,
    order: Order,
    pieces: Vec<Piece>,
    /// How many windows were packed.
    number: u64,
}

impl Window {
    pub(super) fn new(length: u32, seed: u64, pack: Pack, order: Order) -> Self {
        Self { length, seed, pack, order, pieces: Vec::new(), number: 0 }
    }

    /// Adds a piece. True once the window is full.
    pub(super) fn push(&mut self, piece: Piece) -> bool {
        self.pieces.push(piece);
        self.pieces.len() >= PIECES
    }

    /// Packs what was gathered.
    pub(super) fn flush(&mut self, layout: &mut Layout) -> Result<(), StageError> {
        let pieces = &mut self.pieces;
        pieces.sort_unstable_by_key(|piece| (Reverse(piece.length), piece.start));
        let lengths: Vec<u32> = pieces.iter().map(|piece| piece.length).collect();
        let of = (self.pack)(&lengths, self.length);

        // Pieces by sequence; within one they stand as in the text, so that no place in a sequence means a length.
        let count = of.iter().max().map_or(0, |most| *most as usize + 1);
        let mut first = vec![0_usize; count + 1];
        of.iter().for_each(|sequence| first[*sequence as usize + 1] += 1);
        (0..count).for_each(|at| first[at + 1] += first[at]);
        let mut sorted = vec![Piece { start: 0, length: 0 }; pieces.len()];
        let mut next = first.clone();
        let mut costs = vec![0_u64; count];
        for (piece, sequence) in pieces.iter().zip(&of) {
            let sequence = *sequence as usize;
            sorted[next[sequence]] = *piece;
            next[sequence] += 1;
            costs[sequence] += u64::from(piece.length).pow(2);
        }

        for sequence in (self.order)(&costs, mix(self.seed ^ mix(self.number))) {
            let own = first[sequence as usize]..first[sequence as usize + 1];
            sorted[own.clone()].sort_unstable();
            layout.push(&sorted[own])?;
        }
        pieces.clear();
        self.number += 1;
        Ok(())
    }
}
