//! Some pieces, packed together.
use super::{Order, Pack};
use crate::mix::mix;
use muse_artifacts::tokens::{Layout, Piece};
use muse_stage::StageError;
use std::cmp::Reverse;

/// So many pieces are packed together: what is lost at a window's end is a few sequences of many thousand.
pub(super) const PIECES: usize = 1 << 20;

pub(super) struct Window {
    length: u32,
    /// How many pieces are gathered.
    most: usize,
    seed: u64,
    pack: Pack,
    order: Order,
    pieces: Vec<Piece>,
    /// How many windows were packed.
    number: u64,
}

impl Window {
    pub(super) fn new(length: u32, most: usize, seed: u64, pack: Pack, order: Order) -> Self {
        Self { length, most, seed, pack, order, pieces: Vec::new(), number: 0 }
    }

    /// Adds a piece. True once the window is full.
    pub(super) fn push(&mut self, piece: Piece) -> bool {
        self.pieces.push(piece);
        self.pieces.len() >= self.most
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

#[cfg(test)]
mod tests {
    use super::super::{balanced, best_fit};
    use super::*;
    use muse_artifacts::tokens::{Block, Dtype, Split, StreamWriter};

    #[test]
    fn many_windows_hold_every_piece_once_and_whole() {
        for (pack, order) in
            [(best_fit::pack as Pack, best_fit::order as Order), (balanced::pack, balanced::order)]
        {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = StreamWriter::create(folder.path(), Split::Train, Dtype::U16, false).unwrap();
            let mut block = Block::new(Dtype::U16, false);
            let pieces: Vec<Piece> = (0..500)
                .scan(0, |start, at| {
                    let length = 1 + (mix(at) % 20) as u32;
                    block.push(&vec![1; length as usize], None);
                    *start += u64::from(length);
                    Some(Piece { start: *start - u64::from(length), length })
                })
                .collect();
            writer.append(&block).unwrap();
            let mut layout = writer.finish().unwrap().lay_out(20).unwrap();
            let mut window = Window::new(20, 64, 1, pack, order);
            let mut flushed = 0;
            for piece in &pieces {
                if window.push(*piece) {
                    window.flush(&mut layout).unwrap();
                    flushed += 1;
                }
            }
            window.flush(&mut layout).unwrap();
            // Nothing is left, and nothing is made of nothing.
            window.flush(&mut layout).unwrap();
            assert_eq!((flushed, window.number), (7, 9));
            layout.finish().unwrap();

            // The table of pieces stands last in the index: first token, length.
            let index = std::fs::read(folder.path().join("train.idx")).unwrap();
            let table = index[index.len() - 12 * pieces.len()..].chunks(12);
            let mut found: Vec<Piece> = table
                .map(|row| Piece {
                    start: u64::from_le_bytes(*row.first_chunk().unwrap()),
                    length: u32::from_le_bytes(*row.last_chunk().unwrap()),
                })
                .collect();
            let place = |piece: &Piece| pieces.iter().position(|other| other == piece).unwrap() / 64;
            assert!(found.is_sorted_by_key(place), "windows follow each other");
            found.sort_unstable();
            assert_eq!(found, pieces);
        }
    }
}
