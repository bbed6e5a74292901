//! Which text is read: all of it, or so much that is spread evenly over all corpora.
use muse_artifacts::Result;
use muse_artifacts::corpus::{Corpus, Piece};
use std::path::PathBuf;

/// Where not all is read, a longer text is taken or left in parts of this many bytes.
const PART: usize = 16 << 10;
/// Of a large corpus so many times the sample is looked at, for texts to be chosen from …
const LOOK_AT: u64 = 4;
/// … and at least so many pieces from all over it.
const LOOK_AT_PIECES: usize = 32;

/// Corpora, and how much of them is read.
pub(crate) struct Sample {
    corpora: Vec<Corpus>,
    /// What is looked at, with the number of its corpus.
    pieces: Vec<(usize, Piece)>,
    share: Share,
}

/// Of `of` bytes `take` are taken.
#[derive(Clone, Copy)]
struct Share {
    take: u64,
    of: u64,
}

impl Share {
    /// Whether the next is taken, where `taken` of `seen` bytes were. The first always is.
    fn takes(self, taken: u64, seen: u64) -> bool {
        u128::from(taken) * u128::from(self.of) <= u128::from(seen) * u128::from(self.take)
    }
}

impl Sample {
    /// Opens corpora and plans to read about so many bytes of them.
    pub(crate) fn plan(folders: impl IntoIterator<Item = PathBuf>, bytes: u64) -> Result<Self> {
        let corpora = folders.into_iter().map(|folder| Corpus::open(&folder)).collect::<Result<Vec<_>>>()?;
        let all = corpora.iter().enumerate();
        let all = all.flat_map(|(at, corpus)| corpus.pieces().iter().map(move |piece| (at, *piece)));
        let mut pieces: Vec<_> = all.collect();
        let size = |pieces: &[(usize, Piece)]| pieces.iter().map(|(_, piece)| piece.bytes).sum::<u64>();
        let (total, look_at) = (size(&pieces), bytes.saturating_mul(LOOK_AT));
        let count = pieces.len();
        let wanted = usize::try_from(look_at as u128 * count as u128 / u128::from(total.max(1)));
        let wanted = wanted.unwrap_or(usize::MAX).max(LOOK_AT_PIECES);
        if wanted < count {
            let (number, mut at) = (|at: usize| at as u128 * wanted as u128 / count as u128, 0..);
            pieces.retain(|_| at.next().is_some_and(|at| at == 0 || number(at) != number(at - 1)));
        }
        let of = size(&pieces);
        // In an order whose every beginning is spread evenly too.
        let bits = pieces.len().next_power_of_two().trailing_zeros();
        let mut spread: Vec<_> = (0..pieces.len()).collect();
        spread.sort_by_key(|at| at.reverse_bits() >> (usize::BITS - bits.max(1)));
        let pieces = spread.into_iter().map(|at| pieces[at]).collect();
        Ok(Self { corpora, pieces, share: Share { take: bytes.min(of), of } })
    }

    /// What is looked at: each piece is read by itself.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &(usize, Piece)> {
        self.pieces.iter()
    }

    /// About how many bytes are looked at.
    pub(crate) fn bytes(&self) -> u64 {
        self.share.of
    }

    /// About how many bytes are read.
    pub(crate) fn wanted(&self) -> u64 {
        self.share.take
    }

    /// Whether there is text that is not read.
    pub(crate) fn leaves_out(&self) -> bool {
        self.share.take < self.share.of
    }

    /// Hands the texts of a piece that are read to `each`, with their source. Of a chat that is what was said.
    pub(crate) fn read(
        &self,
        (corpus, piece): &(usize, Piece),
        mut each: impl FnMut(&str, &str),
    ) -> Result<()> {
        let (mut seen, mut taken) = (0, 0);
        for batch in self.corpora[*corpus].read(piece)? {
            for document in batch?.iter() {
                for text in document.texts() {
                    for part in parts(text, self.leaves_out()) {
                        if self.share.takes(taken, seen) {
                            taken += part.len() as u64;
                            each(document.source, part);
                        }
                        seen += part.len() as u64;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A text, or its parts: each ends with a line where there is one.
fn parts(text: &str, cut: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if !cut || text.len() <= PART {
            return Some(text);
        }
        let head = &text[..text.floor_char_boundary(PART)];
        let end = head.rfind('\n').map_or(head.len(), |newline| newline + 1);
        let (part, more) = text.split_at(end);
        rest = Some(more);
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::{CorpusWriter, Document};

    fn corpus(texts: impl IntoIterator<Item = String>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = CorpusWriter::create(folder.path()).unwrap();
        for text in texts {
            writer.push(&Document::text(text, "test").borrow()).unwrap();
        }
        writer.finish(serde_json::Value::Null).unwrap();
        folder
    }

    fn read(sample: &Sample) -> Vec<String> {
        let mut texts = Vec::new();
        for piece in sample.pieces() {
            sample.read(piece, |_, text| texts.push(text.to_owned())).unwrap();
        }
        texts
    }

    #[test]
    fn all_is_read_or_a_part_from_everywhere() {
        let folder = corpus((0..4000).map(|number| format!("{number:05} {}\n", "x".repeat(10_000))));
        let plan = |bytes| Sample::plan([folder.path().to_owned()], bytes).unwrap();
        assert_eq!(read(&plan(1 << 40)).len(), 4000);
        let some = read(&plan(1 << 20));
        let bytes: usize = some.iter().map(String::len).sum();
        assert!((1 << 20..3 << 19).contains(&bytes), "{bytes}");
        let numbers: Vec<usize> = some.iter().map(|text| text[..5].parse().unwrap()).collect();
        // A quarter from each quarter, beginning with the first and one from behind the middle; and the same again.
        let quarter = |at: usize| numbers.iter().filter(|number| *number / 1000 == at).count();
        assert!((0..4).all(|at| quarter(at).abs_diff(numbers.len() / 4) <= 4), "{numbers:?}");
        assert!(numbers[0] == 0 && numbers[numbers.len() / 4] >= 2000, "{numbers:?}");
        assert_eq!(some, read(&plan(1 << 20)));
    }

    #[test]
    fn one_long_text_is_cut_only_where_some_of_it_is_left_out() {
        let text = "一行の文章です。\n".repeat(20_000);
        let folder = corpus([text.clone()]);
        let plan = |bytes| Sample::plan([folder.path().to_owned()], bytes).unwrap();
        assert_eq!(read(&plan(1 << 30)), [text]);
        let some = read(&plan(100_000));
        assert!((6..=8).contains(&some.len()) && some.iter().all(|part| part.ends_with('\n')));
        assert_eq!(parts(&"あ".repeat(PART), true).map(str::len).sum::<usize>(), 3 * PART);
    }
}
