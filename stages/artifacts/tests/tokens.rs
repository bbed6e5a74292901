//! Packed tokens: what goes in comes out, labels are shifted once, and what is damaged is an error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use muse_artifacts::tokens::raw::{Flat, muse_lengths, write_muse};
use muse_artifacts::tokens::{
    Block, DocumentTokens, Dtype, IGNORED, Loss, Meta, Piece, Sequence, Split, SplitMeta, Stream,
    StreamWriter, Tokens,
};
use muse_artifacts::{ArtifactError, Result};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const VOCAB: u32 = 70_000;

fn stream(folder: &Path, split: Split, dtype: Dtype, masked: bool, documents: &[DocumentTokens]) -> Stream {
    let mut writer = StreamWriter::create(folder, split, dtype, masked).unwrap();
    // In two portions, so that bits do not begin at a byte.
    for half in documents.chunks(documents.len().div_ceil(2).max(1)) {
        let mut block = Block::new(dtype, masked);
        half.iter().for_each(|one| block.push(&one.ids, masked.then_some(&one.learned)));
        writer.append(&block).unwrap();
    }
    writer.finish().unwrap()
}

fn concat(stream: Stream, context: u32) -> SplitMeta {
    let tokens = stream.tokens();
    let mut layout = stream.lay_out(context).unwrap();
    for start in (0..tokens).step_by(context as usize) {
        let length = u32::try_from(tokens - start).unwrap().min(context);
        layout.push(&[Piece { start, length }]).unwrap();
    }
    layout.finish().unwrap()
}

fn finish(folder: &Path, context: u32, dtype: Dtype, masked: bool, train: Stream, validation: Stream) {
    let (train, validation) = (concat(train, context), concat(validation, context));
    let loss = if masked { Loss::Mask } else { Loss::All };
    let vocab_size = if dtype == Dtype::U16 { 1 << 16 } else { VOCAB };
    let (strategy, tokenizer) = ("concat".to_owned(), "b3:0123".to_owned());
    let meta = Meta {
        format: 1,
        dtype,
        context,
        strategy,
        loss,
        vocab_size,
        end_of_text: 0,
        tokenizer,
        train,
        validation,
    };
    meta.write(folder).unwrap();
}

fn pack(context: u32, masked: bool, train: &[DocumentTokens], validation: &[DocumentTokens]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let largest = train.iter().chain(validation).flat_map(|one| &one.ids).max();
    let dtype = Dtype::of(largest.unwrap_or(&0) + 1);
    let train = stream(folder.path(), Split::Train, dtype, masked, train);
    let validation = stream(folder.path(), Split::Validation, dtype, masked, validation);
    finish(folder.path(), context, dtype, masked, train, validation);
    folder
}

fn documents(tokens: &Tokens, split: Split) -> Vec<DocumentTokens> {
    (0..tokens.documents(split)).map(|number| tokens.document(split, number).unwrap()).collect()
}

fn sequences(tokens: &Tokens, split: Split) -> Vec<Sequence> {
    (0..tokens.sequences(split)).map(|number| tokens.sequence(split, number).unwrap()).collect()
}

fn document(ids: &[u32]) -> DocumentTokens {
    DocumentTokens { ids: ids.to_vec(), learned: vec![true; ids.len()] }
}

fn some_documents() -> impl Strategy<Value = Vec<DocumentTokens>> {
    let token = (prop_oneof![1_u32..300, 1..VOCAB], any::<bool>());
    let one = prop::collection::vec(token, 0..40).prop_map(|tokens| {
        let (mut ids, mut learned): (Vec<_>, Vec<_>) = tokens.into_iter().unzip();
        ids.push(0);
        learned.push(true);
        DocumentTokens { ids, learned }
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_goes_in_comes_out(
        train in some_documents(), validation in some_documents(), context in 1_u32..50, masked: bool
    ) {
        let folder = pack(context, masked, &train, &validation);
        let tokens = Tokens::open(folder.path()).unwrap();
        for (split, mut expected) in [(Split::Train, train), (Split::Validation, validation)] {
            if !masked {
                expected.iter_mut().for_each(|one| one.learned.fill(true));
            }
            prop_assert_eq!(&documents(&tokens, split), &expected);
            // Every token but the first of a document is predicted once, by the token before it, where it carries loss.
            let mut labels = Vec::new();
            for sequence in sequences(&tokens, split) {
                prop_assert_eq!(sequence.inputs().len(), context as usize);
                prop_assert_eq!(sequence.labels().len(), context as usize);
                let (ids, places) = (sequence.segment_ids(), sequence.positions());
                for (number, segment) in sequence.segments().iter().enumerate() {
                    let whole = &expected[segment.document as usize];
                    for at in 0..segment.length {
                        let (here, there) = (segment.start + at, segment.offset as usize + at);
                        prop_assert_eq!(sequence.inputs()[here], whole.ids[there]);
                        prop_assert_eq!((ids[here] as usize, places[here] as usize), (number, at));
                        let learned = whole.learned.get(there + 1) == Some(&true);
                        let label = if learned { whole.ids[there + 1] as i32 } else { IGNORED };
                        prop_assert_eq!(sequence.labels()[here], label);
                        labels.extend(learned.then_some(label));
                    }
                }
                let used = sequence.used();
                prop_assert!(sequence.inputs()[used..].iter().all(|id| *id == 0));
                prop_assert!(sequence.labels()[used..].iter().all(|label| *label == IGNORED));
                prop_assert!(ids[used..].iter().all(|id| *id as usize == sequence.segments().len()));
            }
            let all: Vec<i32> = expected
                .iter()
                .flat_map(|one| one.ids.iter().zip(&one.learned).skip(1))
                .filter_map(|(id, learned)| learned.then_some(*id as i32))
                .collect();
            prop_assert_eq!(tokens.carry_loss(split), all.len() as u64);
            prop_assert_eq!(labels, all);
        }
    }

    #[test]
    fn a_stream_is_cut_at_any_token(all in some_documents(), part in 0.0..1.0, masked: bool) {
        let folder = tempfile::tempdir().unwrap();
        let whole = stream(folder.path(), Split::Train, Dtype::U32, masked, &all);
        let at = (whole.tokens() as f64 * part) as u64;
        let (head, tail) = whole.cut(at).unwrap();
        finish(folder.path(), 7, Dtype::U32, masked, head, tail);
        let tokens = Tokens::open(folder.path()).unwrap();
        let flat = |documents: Vec<DocumentTokens>| -> Vec<(u32, bool)> {
            let pairs = documents.into_iter().flat_map(|one| one.ids.into_iter().zip(one.learned));
            pairs.map(|(id, learned)| (id, learned || !masked)).collect()
        };
        let (head, tail) = (documents(&tokens, Split::Train), documents(&tokens, Split::Validation));
        let across = u64::from(head.last().is_some_and(|one| one.ids.last() != Some(&0)));
        prop_assert_eq!((head.len() + tail.len()) as u64, all.len() as u64 + across);
        let (head, tail) = (flat(head), flat(tail));
        prop_assert_eq!(head.len() as u64, at);
        prop_assert_eq!([head, tail].concat(), flat(all));
    }
}

fn example() -> TempDir {
    let mut masked = document(&[5, 6, 7, 8, 0]);
    masked.learned = vec![false, true, true, false, false];
    pack(4, true, &[masked, document(&[1, 2, 0])], &[document(&[3, 0])])
}

/// Opens and reads all of it.
fn read(folder: &Path) -> Result<()> {
    let tokens = Tokens::open(folder)?;
    for split in Split::ALL {
        (0..tokens.documents(split)).try_for_each(|number| tokens.document(split, number).map(drop))?;
        (0..tokens.sequences(split)).try_for_each(|number| tokens.sequence(split, number).map(drop))?;
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_or_longer_is_an_error() {
    let folder = example();
    read(folder.path()).unwrap();
    let mut looked_at = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        let longer = [whole.as_slice(), b"\0"].concat();
        for bytes in (0..whole.len()).map(|cut| &whole[..cut]).chain([longer.as_slice()]) {
            fs::write(&path, bytes).unwrap();
            assert!(read(folder.path()).is_err(), "{} with {} bytes", path.display(), bytes.len());
            looked_at += 1;
        }
        fs::remove_file(&path).unwrap();
        assert!(read(folder.path()).is_err(), "without {}", path.display());
        fs::write(&path, whole).unwrap();
    }
    read(folder.path()).unwrap();
    assert!(looked_at > 500, "{looked_at}");
}

#[test]
fn a_bit_that_flips_never_ends_in_a_panic() {
    let folder = example();
    for name in ["train.idx", "validation.idx", "meta.json", "train.bin", "train.mask"] {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        let mut errors = 0;
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            errors += usize::from(read(folder.path()).is_err());
        }
        // The store finds all of these by digest; the reader only has to stay within bounds.
        let indexed = path.extension().unwrap() == "idx";
        assert!(!indexed || errors * 2 > whole.len() * 8, "{name}: {errors} of {}", whole.len() * 8);
        fs::write(&path, whole).unwrap();
    }
}

fn said<T>(result: Result<T>) -> (String, String) {
    match result.err().unwrap() {
        ArtifactError::Format { message, help, .. } => (message, help.unwrap_or_default()),
        other => (other.to_string(), other.hint().unwrap_or_default().to_owned()),
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let folder = example();
    let tokens = Tokens::open(folder.path()).unwrap();
    tokens.check_tokenizer("b3:0123").unwrap();
    let (message, help) = said(tokens.check_tokenizer("b3:ffff"));
    assert!(message.contains("b3:0123") && message.contains("b3:ffff"), "{message}");
    assert!(help.contains("pack again"), "{help}");
    assert_eq!(said(tokens.sequence(Split::Train, 9)).0, "there is no sequence 9: it has 2");
    drop(tokens);

    let path = folder.path().join("meta.json");
    let meta = fs::read_to_string(&path).unwrap();
    fs::write(&path, meta.replace("\"vocab_size\": 65536", "\"vocab_size\": 8")).unwrap();
    assert_eq!(said(read(folder.path())).0, "token 3 is 8, and the vocabulary ends at 8");
    fs::write(&path, meta.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let (message, help) = said(read(folder.path()));
    assert!(message.ends_with("meta.json: format 2 is not known here, which is 1"), "{message}");
    assert!(help.contains("newer muse"), "{help}");
    fs::remove_file(&path).unwrap();
    assert!(said(read(folder.path())).0.contains("no packed tokens"));
}

#[test]
fn two_bytes_are_enough_up_to_65536_tokens() {
    assert_eq!(
        (Dtype::of(1), Dtype::of(1 << 16), Dtype::of((1 << 16) + 1)),
        (Dtype::U16, Dtype::U16, Dtype::U32)
    );
    for (largest, bytes) in [(65_535, 8), (65_536, 16)] {
        let folder = pack(8, false, &[document(&[65_535, 1, largest, 0])], &[]);
        assert_eq!(fs::metadata(folder.path().join("train.bin")).unwrap().len(), bytes);
        let tokens = Tokens::open(folder.path()).unwrap();
        assert_eq!(tokens.document(Split::Train, 0).unwrap().ids, [65_535, 1, largest, 0]);
        assert_eq!(tokens.sequence(Split::Train, 0).unwrap().labels()[1], largest as i32);
    }
}

#[test]
fn a_context_of_one_and_no_documents() {
    let folder = pack(1, false, &[document(&[4, 0]), document(&[7, 8, 0])], &[]);
    let tokens = Tokens::open(folder.path()).unwrap();
    let rows = sequences(&tokens, Split::Train);
    let row =
        |sequence: &Sequence| (sequence.inputs()[0], sequence.labels()[0], sequence.segments()[0].document);
    assert_eq!(
        rows.iter().map(row).collect::<Vec<_>>(),
        [(4, 0, 0), (0, IGNORED, 0), (7, 8, 1), (8, 0, 1), (0, IGNORED, 1)]
    );
    assert_eq!((tokens.sequences(Split::Validation), tokens.documents(Split::Validation)), (0, 0));
}

#[test]
fn what_muse_reads_is_written_and_read() {
    let folder = example();
    let tokens = Tokens::open(folder.path()).unwrap();
    let muse = folder.path().join("muse");
    write_muse(&tokens, &muse, || Ok::<_, ArtifactError>(())).unwrap();
    // The bytes, as the format has them.
    let number = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().unwrap());
    let idx = fs::read(muse.join("train.idx")).unwrap();
    assert_eq!(idx[..8], *b"MUSE\x01\0\0\0");
    assert_eq!(idx[8..].chunks(8).map(number).collect::<Vec<_>>(), [0, 5, 5, 3]);
    let bin: Vec<u8> = [5_u32, 6, 7, 8, 0, 1, 2, 0].iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!(fs::read(muse.join("train.bin")).unwrap(), bin);

    let mut flat = Flat::open(&muse.join("train.bin"), Dtype::U32).unwrap();
    let lengths: Vec<u64> =
        muse_lengths(&muse.join("train.idx"), flat.tokens()).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(lengths, [5, 3]);
    assert_eq!(flat.read(5, 9).unwrap(), [5, 6, 7, 8, 0]);
    assert_eq!(flat.read(u64::MAX, 9).unwrap(), [1, 2, 0]);
    assert!(flat.read(1, 9).unwrap().is_empty());
}

#[test]
fn flat_files_that_are_wrong_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let (bin, idx) = (folder.path().join("train.bin"), folder.path().join("train.idx"));
    fs::write(&bin, [1, 0, 2, 0, 3]).unwrap();
    assert!(said(Flat::open(&bin, Dtype::U16)).0.contains("5 bytes are no whole number"));
    fs::write(&bin, [1, 0, 2, 0, 44, 1]).unwrap();
    let mut flat = Flat::open(&bin, Dtype::U16).unwrap();
    assert_eq!(flat.read(2, 300).unwrap(), [1, 2]);
    assert_eq!(said(flat.read(2, 300)).0, "token 2 is 300, and the tokenizer's vocabulary ends at 300");

    let index = |words: &[u64]| {
        let tail = words.iter().flat_map(|word| word.to_le_bytes());
        fs::write(&idx, b"MUSE\x01\0\0\0".iter().copied().chain(tail).collect::<Vec<_>>()).unwrap();
        muse_lengths(&idx, 3)
    };
    assert_eq!(index(&[0, 2, 2, 1]).unwrap().collect::<Result<Vec<_>>>().unwrap(), [2, 1]);
    for (words, wrong) in [
        (vec![0, 2, 3, 0], "document 1 has 0 tokens from token 3"),
        (vec![0, 2, 2, 2], "document 1 has 2 tokens from token 2"),
        (vec![0, 2], "document 0 has 2 tokens from token 0"),
        (vec![0, u64::MAX, 2, 1], "document 0 has 18446744073709551615 tokens"),
    ] {
        let (message, help) = said(index(&words).unwrap().collect::<Result<Vec<_>>>());
        assert!(message.starts_with(wrong) && help.contains("two u64"), "{message} {help}");
    }
    assert!(said(index(&[])).0.contains("no documents"));
    // With a count in front, as one writer of theirs puts it there.
    assert!(said(index(&[1, 0, 3])).0.contains("no whole number of documents"));
    fs::write(&idx, "MUSE").unwrap();
    assert_eq!(said(muse_lengths(&idx, 3)).0, "not an index of MUSE");
}
