//! Tables in text: values parted by commas or tabs, below a line of names.
use super::chat::Row;
use super::records::Records;
use super::stream::Stream;
use super::{Flow, LARGEST, Reading, Taker, broken, broken_row};
use crate::params::Format;
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use muse_stage::StageError;
use serde_json::Value;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names that the first line of a table has, where a file does not say that it is one.
const KNOWN: &[&str] = &[
    "text",
    "content",
    "document",
    "article",
    "body",
    "instruction",
    "prompt",
    "question",
    "answer",
    "output",
    "response",
    "completion",
    "messages",
    "conversations",
    "title",
];

/// Reads no more than [`LARGEST`] for one row: a quote that is not closed would swallow the file.
struct Bounded<R> {
    from: R,
    since: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.load(Ordering::Relaxed) > LARGEST {
            return Err(io::Error::other(format!(
                "larger than {} MiB: is a quote not closed?",
                LARGEST >> 20
            )));
        }
        let read = self.from.read(buffer)?;
        self.since.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

pub(super) fn read(
    reading: &mut Reading,
    stream: Stream,
    name: &str,
    parted: u8,
    taker: &mut dyn Taker,
) -> Flow {
    let since = Arc::new(AtomicU64::new(0));
    let from = Bounded { from: stream.into_read(), since: Arc::clone(&since) };
    let mut table = ReaderBuilder::new().delimiter(parted).buffer_capacity(1 << 17).from_reader(from);
    let header = table.headers().map_err(|error| no_table(name, 0, &error))?.clone();
    if header.is_empty() {
        taker.empty();
        return Ok(ControlFlow::Continue(()));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = header.iter().find(|column| !seen.insert(*column)) {
        return Err(broken(name, &format!("two columns are called `{twice}`")));
    }
    let mut records = Records::new(reading, name, taker);
    let mut record = StringRecord::new();
    for number in 1.. {
        since.store(0, Ordering::Relaxed);
        if !table.read_record(&mut record).map_err(|error| no_table(name, number, &error))? {
            break;
        }
        let row: Row =
            header.iter().zip(&record).map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        if records.row(number, row, record.as_slice().len())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    records.end()
}

fn no_table(name: &str, row: u64, error: &csv::Error) -> StageError {
    let line = error.position().map_or(0, csv::Position::line);
    let byte = error.position().map_or(0, csv::Position::byte);
    let what = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} values for {expected_len} columns (line {line})")
        }
        ErrorKind::Utf8 { err, .. } => {
            let help = "text must be UTF-8: `iconv -f ENCODING -t UTF-8 FILE > NEW` makes it so";
            let what =
                format!("value {} of the row at line {line}, byte {byte}, is no UTF-8", err.field() + 1);
            return broken_row(name, row, &what).help(help);
        }
        ErrorKind::Io(error) => return broken_row(name, row, &super::stream::unreadable(error)),
        _ => error.to_string(),
    };
    broken_row(name, row, &what)
}

/// Whether a file begins like a table: each line has as many values as the first, which names columns.
pub(super) fn looks_like(begin: &[u8], text: Option<&str>, messages: Option<&str>) -> Option<Format> {
    // The last line may have been cut.
    let end = begin.iter().rposition(|byte| *byte == b'\n').map_or(begin.len(), |at| at + 1);
    let is_table = |parted: u8| {
        let mut table = ReaderBuilder::new().delimiter(parted).from_reader(&begin[..end]);
        let Ok(header) = table.headers() else { return false };
        let lower = |column: &str| column.to_ascii_lowercase();
        let named = |column: &str| {
            Some(column) == text || Some(column) == messages || KNOWN.contains(&lower(column).as_str())
        };
        let several = header.len() > 1 || text.is_some() || messages.is_some();
        several && header.iter().any(named) && table.records().take(20).all(|record| record.is_ok())
    };
    if is_table(b',') {
        Some(Format::Csv)
    } else if is_table(b'\t') {
        Some(Format::Tsv)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_recognised() {
        let look = |text: &str| looks_like(text.as_bytes(), None, None);
        assert_eq!(look("id,text\n1,hello\n2,\"a, b\"\n"), Some(Format::Csv));
        assert_eq!(look("id\ttext\n1\thello\n"), Some(Format::Tsv));
        assert_eq!(look("The text, said he, is short.\nBut no table.\n"), None);
        assert_eq!(look("text\nhello\n"), None);
        assert_eq!(looks_like(b"story\nhello\n", Some("story"), None), Some(Format::Csv));
        assert_eq!(look(""), None);
    }
}
