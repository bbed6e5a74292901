//! Batches over packed tokens that are really there.
use super::*;
use muse_artifacts::tokens::{Block, Dtype, IGNORED, Loss, Meta, Piece, SplitMeta, StreamWriter};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

const END: u32 = 0;

/// Packs documents of these lengths into sequences of `context`, without a gap. Tokens count up, so each is found again.
pub(crate) fn pack(folder: &Path, context: u32, train: &[usize], validation: &[usize]) -> Tokens {
    let mut next = END;
    let mut side = |split, lengths: &[usize]| -> SplitMeta {
        let mut writer = StreamWriter::create(folder, split, Dtype::U32, false).unwrap();
        let mut block = Block::new(Dtype::U32, false);
        for length in lengths {
            let mut ids: Vec<u32> = (1..*length as u32).map(|at| next + at).collect();
            next += *length as u32;
            ids.push(END);
            block.push(&ids, None);
        }
        writer.append(&block).unwrap();
        let stream = writer.finish().unwrap();
        let tokens = stream.tokens();
        let mut layout = stream.lay_out(context).unwrap();
        for start in (0..tokens).step_by(context as usize) {
            let length = (tokens - start).min(u64::from(context)) as u32;
            layout.push(&[Piece { start, length }]).unwrap();
        }
        layout.finish().unwrap()
    };
    let meta = Meta {
        format: 1,
        dtype: Dtype::U32,
        context,
        strategy: "concat".into(),
        loss: Loss::All,
        train: side(Split::Train, train),
        validation: side(Split::Validation, validation),
        vocab_size: next + 1,
        end_of_text: END,
        tokenizer: "b3:00".into(),
    };
    meta.write(folder).unwrap();
    Tokens::open(folder).unwrap()
}

fn size(sequences: usize, micro_batch: usize) -> StepSize {
    StepSize { sequences, micro_batch, window: None }
}

fn steps(batches: &mut Batches<'_>, count: usize) -> Vec<Step> {
    (0..count).map(|_| batches.step().unwrap()).collect()
}

/// What a step sees, whole: the columns of its micro-batches one behind the other.
fn seen(step: &Step) -> [Vec<i32>; 4] {
    let mut all: [Vec<i32>; 4] = Default::default();
    for rows in step.micro_batches() {
        for (all, column) in all.iter_mut().zip(rows.columns()) {
            all.extend(column);
        }
    }
    all
}

#[test]
fn columns_stop_where_documents_do() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 8, &[3, 10], &[]);
    let order = Order::new(0, 2);
    let mut batches = Batches::new(&tokens, 0, size(2, 2), Cursor::default()).unwrap();
    let step = batches.step().unwrap();
    let [ids, labels, positions, starts] = seen(&step);
    let mut rows = [
        // Three of the first document, five of the second.
        (
            [1, 2, 0, 4, 5, 6, 7, 8],
            [2, 0, -100, 5, 6, 7, 8, 9],
            [0, 1, 2, 0, 1, 2, 3, 4],
            [0, 0, 0, 3, 3, 3, 3, 3],
        ),
        // The rest of the second, and three to fill up, which see themselves alone.
        (
            [9, 10, 11, 12, 0, 0, 0, 0],
            [10, 11, 12, 0, -100, -100, -100, -100],
            [0, 1, 2, 3, 4, 0, 1, 2],
            [0, 0, 0, 0, 0, 5, 5, 5],
        ),
    ];
    if order.at(0, 0) == Some(1) {
        rows.reverse();
    }
    for (at, row) in rows.iter().enumerate() {
        let place = at * 8..at * 8 + 8;
        assert_eq!(ids[place.clone()], row.0);
        assert_eq!(labels[place.clone()], row.1);
        assert_eq!(positions[place.clone()], row.2);
        assert_eq!(starts[place], row.3);
    }
    assert_eq!((step.labels(), step.tokens()), (11, 16));
    assert_eq!(step.share(), 1.0 / 11.0);
}

#[test]
fn a_window_moves_starts_along() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 8, &[5, 3], &[]);
    let starts = |window| {
        let size = StepSize { window, ..size(1, 1) };
        seen(&Batches::new(&tokens, 0, size, Cursor::default()).unwrap().step().unwrap())[3].clone()
    };
    assert_eq!(starts(None), [0, 0, 0, 0, 0, 5, 5, 5]);
    assert_eq!(starts(Some(2)), [0, 0, 1, 2, 3, 5, 5, 6]);
    assert_eq!(starts(Some(1)), [0, 1, 2, 3, 4, 5, 6, 7], "itself alone");
    assert_eq!(starts(Some(usize::MAX)), starts(None));
}

#[test]
fn where_nothing_has_a_label_nothing_counts() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 4, &[1, 1, 1], &[]);
    let step = Batches::new(&tokens, 0, size(1, 1), Cursor::default()).unwrap().step().unwrap();
    assert_eq!((step.labels(), step.share()), (0, 0.0));
}

#[test]
fn what_is_held_back_comes_in_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 4, &[4], &[4; 10]);
    let first = |micro, most| -> Vec<i32> {
        let held_out = HeldOut::new(&tokens, size(1, micro), most);
        let rows: Vec<Rows> = held_out.batches().map(|rows| rows.unwrap()).collect();
        assert_eq!(rows.iter().map(Rows::sequences).sum::<usize>() as u64, held_out.sequences());
        assert!(rows.iter().all(|rows| rows.sequences() <= micro));
        rows.iter().flat_map(|rows| rows.ids.iter().step_by(4).copied().collect::<Vec<_>>()).collect()
    };
    let all: Vec<i32> = (0..10).map(|at| 5 + 4 * at).collect();
    assert_eq!(first(3, u64::MAX), all);
    assert_eq!(first(10, 43), all);
    // Five of ten: every second one, whatever their number at once.
    let half: Vec<i32> = all.iter().step_by(2).copied().collect();
    assert_eq!((first(2, 23), first(5, 20)), (half.clone(), half));
    assert_eq!(first(1, 0).len(), 1, "one at least");

    // The last of them is filled up to the size of the others, and nothing is added to what has a label.
    let held_out = HeldOut::new(&tokens, size(1, 4), u64::MAX);
    let last = held_out.batches().last().unwrap().unwrap();
    let (before, labelled, labels) = (last.sequences(), last.labelled, last.labels.clone());
    let filled = last.filled_up(4);
    assert_eq!((before, filled.sequences(), filled.labelled), (2, 4, labelled));
    assert!(filled.columns().iter().all(|column| column.len() == 16));
    assert_eq!((&filled.labels[..8], &filled.labels[8..]), (&labels[..], &[IGNORED; 8][..]));
    assert_eq!(filled.ids[8..12], filled.ids[4..8]);

    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 4, &[4], &[]);
    let nothing = HeldOut::new(&tokens, size(1, 1), 100);
    assert!(nothing.is_empty() && nothing.batches().next().is_none());
}

#[test]
fn data_that_is_not_there_is_an_error() {
    let message = |tokens: &Tokens, cursor| {
        Batches::new(tokens, 0, size(1, 1), cursor).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 4, &[], &[4]);
    assert!(message(&tokens, Cursor::default()).contains("nothing to learn from"));
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 4, &[8], &[]);
    assert!(message(&tokens, Cursor { epoch: 0, place: 2 }).contains("of other data"));
    assert_eq!(message(&tokens, Cursor { epoch: 5, place: 1 }), "");
}

fn any_documents() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..20, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_sequence_comes_once_an_epoch(lengths in any_documents(), context in 1_u32..16, rows in 1_usize..9, seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), context, &lengths, &[]);
        let sequences = tokens.sequences(Split::Train) as usize;
        let mut batches = Batches::new(&tokens, seed, size(rows, 2), Cursor::default()).unwrap();
        let epochs = 3;
        let made = steps(&mut batches, (epochs * sequences).div_ceil(rows));
        let all: Vec<Vec<u32>> =
            made.iter().flat_map(|step| &step.sequences).map(|sequence| sequence.inputs().to_vec()).collect();
        let mut there: Vec<Vec<u32>> = (0..sequences as u64)
            .map(|number| tokens.sequence(Split::Train, number).unwrap().inputs().to_vec())
            .collect();
        there.sort();
        for epoch in all.chunks_exact(sequences) {
            let mut epoch = epoch.to_vec();
            epoch.sort();
            prop_assert_eq!(&epoch, &there);
        }
        let taken = (made.len() * rows) as u64;
        let count = sequences as u64;
        prop_assert_eq!(batches.cursor(), Cursor { epoch: taken / count, place: taken % count });
    }

    #[test]
    fn a_cursor_gives_exactly_the_rest(lengths in any_documents(), rows in 1_usize..9, before in 0_usize..12, seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), 7, &lengths, &[]);
        let mut whole = Batches::new(&tokens, seed, size(rows, 3), Cursor::default()).unwrap();
        steps(&mut whole, before);
        // As it comes back from a checkpoint.
        let kept = serde_json::to_string(&whole.cursor()).unwrap();
        let mut rest = Batches::new(&tokens, seed, size(rows, 3), serde_json::from_str(&kept).unwrap()).unwrap();
        prop_assert_eq!(steps(&mut whole, 5), steps(&mut rest, 5));
        prop_assert_eq!(whole.cursor(), rest.cursor());
    }

    #[test]
    fn the_size_of_micro_batches_changes_nothing_that_a_step_sees(
        lengths in any_documents(),
        rows in 1_usize..9,
        micro in 1_usize..12,
        window in prop::option::of(1_usize..9),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), 5, &lengths, &[]);
        let step = |micro_batch| {
            let size = StepSize { sequences: rows, micro_batch, window };
            Batches::new(&tokens, 1, size, Cursor::default()).unwrap().step().unwrap()
        };
        let (whole, cut) = (step(rows), step(micro));
        prop_assert_eq!(seen(&whole), seen(&cut));
        prop_assert_eq!((whole.labels(), whole.share()), (cut.labels(), cut.share()));
        prop_assert_eq!(cut.labels(), cut.micro_batches().map(|rows| rows.labelled).sum::<u64>());
        let counts: Vec<usize> = cut.micro_batches().map(|rows| rows.sequences()).collect();
        prop_assert_eq!(counts.len(), rows.div_ceil(micro));
        prop_assert!(counts.iter().rev().skip(1).all(|count| *count == micro));
        // Several devices take each of them once.
        for devices in 1..5 {
            let shares = (0..devices).flat_map(|rank| cut.share_of(rank, devices).collect::<Vec<_>>());
            let by_number: std::collections::BTreeMap<u64, Rows> = shares.collect();
            prop_assert!(by_number.keys().copied().eq(0..counts.len() as u64));
            prop_assert!(by_number.into_values().eq(cut.micro_batches()));
        }
        // What each token sees begins in its document and no further back than the window.
        for rows in cut.micro_batches() {
            for (at, (start, position)) in rows.starts.iter().zip(&rows.positions).enumerate() {
                let at = (at % rows.context) as i32;
                prop_assert!(*start <= at && *start >= at - position);
                prop_assert!(window.is_none_or(|window| at - start < window as i32));
                prop_assert!(*start == at - position || window == Some((at - start + 1) as usize));
            }
        }
    }

    #[test]
    fn an_evaluation_takes_no_sequence_twice(lengths in any_documents(), most in 0_u64..300, micro in 1_usize..5) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), 5, &[5], &lengths);
        let held_out = HeldOut::new(&tokens, size(1, micro), most);
        let numbers: BTreeSet<u64> = (0..held_out.sequences()).map(|at| held_out.number(at)).collect();
        prop_assert_eq!(numbers.len() as u64, held_out.sequences());
        prop_assert!(numbers.iter().all(|number| *number < tokens.sequences(Split::Validation)));
        prop_assert!(held_out.sequences() * 5 <= most.max(5));
        let batches = |rank, devices| held_out.share_of(rank, devices).map(Result::unwrap).collect::<Vec<Rows>>();
        let [mut even, mut odd] = [0, 1].map(|rank| batches(rank, 2).into_iter());
        for (at, rows) in batches(0, 1).into_iter().enumerate() {
            prop_assert_eq!(if at % 2 == 0 { even.next() } else { odd.next() }, Some(rows));
        }
        prop_assert_eq!((even.next(), odd.next()), (None, None));
    }
}
