//! A look at the first rows of a file that is no parquet.
use super::plan::Column;
use super::records::columns;
use super::{Flow, Input, Reading, Taker, Wish, text};
use crate::names::ending;
use crate::params::{Documents, Format};
use muse_artifacts::corpus::BodyRef;
use muse_stage::StageError;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What was seen.
pub(crate) struct Seen {
    pub(crate) format: &'static str,
    /// Of formats that have some.
    pub(crate) columns: Option<Vec<Column>>,
    pub(crate) sample: Vec<Value>,
}

/// Reads the first rows, or of plain text the first lines. `None` where the file is none that is understood.
pub(crate) fn look(input: Input, name: &str, most: usize) -> Result<Option<Seen>, StageError> {
    let mut reading = Reading::new(Wish { documents: Documents::Line, ..Wish::default() });
    let stream = super::Stream::open(input.bytes(Arc::clone(&reading.done)), name)?;
    let format = reading.guess(&stream, name);
    if stream.begin().contains(&0) && ending(name).is_none() {
        return Ok(None);
    }
    reading.looking = Some(Vec::new());
    let mut taker = First { most, sample: Vec::new() };
    let format = match format {
        Format::Jsonl => ("jsonl", super::json::lines(&mut reading, stream, name, &mut taker)),
        Format::Json => ("json", super::json::values(&mut reading, stream, name, &mut taker)),
        Format::Csv => ("csv", super::table::read(&mut reading, stream, name, b',', &mut taker)),
        Format::Tsv => ("tsv", super::table::read(&mut reading, stream, name, b'\t', &mut taker)),
        _ => ("text", text::read(&reading, stream, name, &mut taker)),
    };
    let (format, end) = format;
    let _: ControlFlow<()> = end?;
    let rows = reading.looking.unwrap_or_default();
    if format == "text" {
        return Ok(Some(Seen { format, columns: None, sample: taker.sample }));
    }
    let columns = columns(rows.iter());
    let sample = rows.into_iter().take(most).map(Value::Object).collect();
    Ok(Some(Seen { format, columns: Some(columns), sample }))
}

/// Takes the first lines of a text.
struct First {
    most: usize,
    sample: Vec<Value>,
}

impl Taker for First {
    fn document(&mut self, body: &BodyRef<'_>) -> Flow {
        if let BodyRef::Text(text) = body {
            self.sample.push((*text).into());
        }
        Ok(if self.sample.len() >= self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn empty(&mut self) {}

    fn mended(&mut self) {}

    fn room(&self) -> Option<u64> {
        None
    }
}
