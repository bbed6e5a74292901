//! Files become documents: whatever their format and packing, one after the other, in bounded memory.
mod cells;
mod chat;
mod input;
mod json;
mod look;
mod parquet;
mod plan;
mod records;
mod stream;
mod table;
mod text;
mod zip;

pub(crate) use input::Input;
pub(crate) use look::look;
pub(crate) use parquet::table_of;
pub(crate) use plan::{Column, Plan};

use crate::names::ending;
use crate::net::Remote;
use crate::params::{Documents, Format, Params};
use muse_artifacts::corpus::BodyRef;
use muse_stage::StageError;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use stream::Stream;

/// A document is no larger than this: it must fit into memory, several times.
pub(crate) const LARGEST: u64 = 256 << 20;

/// Whether to go on.
pub(crate) type Flow = Result<ControlFlow<()>, StageError>;

/// Who takes documents.
pub(crate) trait Taker {
    /// A document; `Break` where it was the last that is wanted.
    fn document(&mut self, body: &BodyRef<'_>) -> Flow;
    /// A row or file that holds nothing.
    fn empty(&mut self);
    /// An escape of half a character was replaced.
    fn mended(&mut self);
    /// How many documents are still wanted, where somebody counts.
    fn room(&self) -> Option<u64>;
}

/// How files are to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) format: Format,
    pub(crate) text: Option<String>,
    pub(crate) messages: Option<String>,
    pub(crate) documents: Documents,
}

impl Wish {
    pub(crate) fn of(params: &Params) -> Self {
        Self {
            format: params.format,
            text: params.text.clone(),
            messages: params.messages.clone(),
            documents: params.documents,
        }
    }
}

/// Where a file is.
pub(crate) enum Place {
    Disk(PathBuf),
    Remote(Remote),
}

/// Reads files that belong together: what one column is read as, all are.
pub(crate) struct Reading {
    pub(crate) wish: Wish,
    /// What is read, and the file that said so.
    pub(crate) plan: Option<(Plan, String)>,
    /// Bytes of files that were gone through.
    pub(crate) done: Arc<AtomicU64>,
    /// Rows are only looked at: the first of them stand here.
    looking: Option<Vec<chat::Row>>,
}

impl Reading {
    pub(crate) fn new(wish: Wish) -> Self {
        Self { wish, plan: None, done: Arc::default(), looking: None }
    }

    /// Reads a file that messages call `name`.
    pub(crate) fn file(&mut self, place: &Place, name: &str, taker: &mut dyn Taker) -> Flow {
        let end = self.place(place, name, taker);
        match place {
            // What went wrong on the way says more than what a reader made of it.
            Place::Remote(remote) if end.is_err() => remote.failure().map_or(end, Err),
            _ => end,
        }
    }

    fn place(&mut self, place: &Place, name: &str, taker: &mut dyn Taker) -> Flow {
        let input = Input::open(place)?;
        let mut head = [0; 4];
        let known = input.head(&mut head).map_err(|error| broken(name, &error.to_string()))?;
        match (self.wish.format, ending(name), &head[..known]) {
            (Format::Parquet, ..) | (Format::Auto, Some("parquet"), _) | (Format::Auto, _, b"PAR1") => {
                parquet::read(self, input, name, taker)
            }
            (_, _, b"PK\x03\x04" | b"PK\x05\x06") => match place {
                Place::Disk(path) => zip::read(self, path, name, taker),
                Place::Remote(_) => Err(broken(name, "a zip is read whole only: leave `limit` out")),
            },
            _ => {
                let bytes = input.bytes(Arc::clone(&self.done));
                self.stream(Stream::open(bytes, name)?, name, taker)
            }
        }
    }

    /// Reads a stream that is unpacked already.
    fn stream(&mut self, stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
        let format = match self.wish.format {
            Format::Auto => self.guess(&stream, name),
            known => known,
        };
        match format {
            Format::Parquet => Err(broken(name, "parquet that is packed once more cannot be read")
                .help("parquet is compressed inside: unpack the file")),
            Format::Jsonl => json::lines(self, stream, name, taker),
            Format::Json => json::values(self, stream, name, taker),
            Format::Csv => table::read(self, stream, name, b',', taker),
            Format::Tsv => table::read(self, stream, name, b'\t', taker),
            Format::Auto | Format::Text => text::read(self, stream, name, taker),
        }
    }

    /// What a file holds, by its name, else by how it begins.
    fn guess(&self, stream: &Stream, name: &str) -> Format {
        let begin = stream.begin();
        match ending(name) {
            Some("parquet") => Format::Parquet,
            Some("jsonl" | "ndjson") => Format::Jsonl,
            Some("json") => json::written_as(begin),
            Some("csv") => Format::Csv,
            Some("tsv") => Format::Tsv,
            Some(_) => Format::Text,
            None if begin.starts_with(b"PAR1") => Format::Parquet,
            None => match json::looks_like(begin) {
                Some(format) => format,
                None => table::looks_like(begin, self.wish.text.as_deref(), self.wish.messages.as_deref())
                    .unwrap_or(Format::Text),
            },
        }
    }
}

/// A file that cannot be read.
pub(crate) fn broken(name: &str, what: &str) -> StageError {
    StageError::new(format!("{name}: {what}"))
}

/// A row that cannot be read.
pub(crate) fn broken_row(name: &str, row: u64, what: &str) -> StageError {
    StageError::new(format!("{name}: row {row}: {what}"))
}

/// Opens a file of this disk.
pub(crate) fn open(path: &std::path::Path) -> Result<File, StageError> {
    File::open(path).map_err(StageError::io(path))
}
