//! Parquet: of a file only the columns and, with a limit, only the row groups that are needed.
use super::cells::{cell, text};
use super::chat::Row;
use super::plan::{Column, Kind, Plan};
use super::{Flow, Input, Reading, Taker, broken, broken_row};
use arrow_array::RecordBatch;
use arrow_schema::DataType;
use muse_artifacts::corpus::{BodyRef, Document};
use muse_stage::StageError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::Length;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;

/// A batch is about so many bytes of values: row groups of others may be huge.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH_ROWS: u64 = 1024;
/// What is fetched at once of a column.
const AT_ONCE: u64 = 32 << 20;
/// What the first rows of a column may need beyond their share: a dictionary, a page.
const MARGIN: u64 = 64 << 10;
/// The end of a file, where the list of its row groups stands.
const FOOTER: u64 = 64 << 10;
/// Of a remote file so much is fetched ahead of what is read, over several connections.
const AHEAD: u64 = 128 << 20;

fn unreadable(name: &str, error: &dyn std::fmt::Display) -> StageError {
    broken(name, &format!("parquet that cannot be read: {error}"))
}

/// The list of a file's row groups and columns.
fn metadata(input: &Input, name: &str) -> Result<ArrowReaderMetadata, StageError> {
    let size = Length::len(input);
    if size < 12 {
        return Err(broken(name, "no parquet: it has fewer bytes than the shortest has"));
    }
    let footer = FOOTER.min((size / 64).max(1 << 10)).min(size);
    input.fetch(std::slice::from_ref(&(size - footer..size))).map_err(|error| unreadable(name, &error))?;
    // Hints of arrow writers would give the same column other types in other files.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ArrowReaderMetadata::load(input, options).map_err(|error| unreadable(name, &error))
}

pub(super) fn read(reading: &mut Reading, input: Input, name: &str, taker: &mut dyn Taker) -> Flow {
    let metadata = metadata(&input, name)?;
    let mut columns = columns(&metadata);
    weigh(&metadata, &mut columns);
    reading.decide(&columns, name)?;
    let Some((plan, _)) = &reading.plan else { return Ok(ControlFlow::Continue(())) };
    let (mut row, mut ahead) = (0, 0);
    for group in 0..metadata.metadata().num_row_groups() {
        if group >= ahead {
            let parts = parts_from(&metadata, group, &plan.columns(), taker.room(), &mut ahead);
            input.fetch(&parts).map_err(|error| unreadable(name, &error))?;
        }
        let rows = metadata.metadata().row_group(group).num_rows();
        if rows > 0 && read_group(&input, &metadata, group, plan, name, &mut row, taker)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let bytes = metadata.metadata().row_group(group).compressed_size();
        reading.done.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }
    Ok(ControlFlow::Continue(()))
}

fn columns(metadata: &ArrowReaderMetadata) -> Vec<Column> {
    let kind = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary => Kind::Text(0),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Kind::List,
        _ => Kind::Other,
    };
    let fields = metadata.schema().fields().iter();
    fields.map(|field| Column { name: field.name().clone(), kind: kind(field.data_type()) }).collect()
}

/// How much text each column has, by the list of the first row group.
fn weigh(metadata: &ArrowReaderMetadata, columns: &mut [Column]) {
    let Some(group) = metadata.metadata().row_groups().iter().find(|group| group.num_rows() > 0) else {
        return;
    };
    for column in columns {
        let Kind::Text(bytes) = &mut column.kind else { continue };
        let chunks = group.columns().iter();
        let size: i64 = chunks
            .filter(|chunk| chunk.column_path().parts().first() == Some(&column.name))
            .map(|chunk| chunk.uncompressed_size())
            .sum();
        *bytes = u64::try_from(size).unwrap_or(0);
    }
}

fn read_group(
    input: &Input,
    metadata: &ArrowReaderMetadata,
    group: usize,
    plan: &Plan,
    name: &str,
    row: &mut u64,
    taker: &mut dyn Taker,
) -> Flow {
    let room = taker.room().unwrap_or(u64::MAX);
    let reader = group_reader(input, metadata, group, Some(&plan.columns()), room, name)?;
    for batch in reader {
        let batch = batch.map_err(|error| {
            broken(name, &format!("row group {group} (from row {} on) cannot be read: {error}", *row + 1))
        })?;
        if rows(&batch, plan, name, row, taker)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// What is needed of the row groups from `group` on, for `room` rows; `ahead` becomes the first that is left for later.
fn parts_from(
    metadata: &ArrowReaderMetadata,
    group: usize,
    wanted: &[&str],
    room: Option<u64>,
    ahead: &mut usize,
) -> Vec<Range<u64>> {
    let mut room = room.unwrap_or(u64::MAX);
    let (mut parts, mut bytes) = (Vec::new(), 0);
    *ahead = group;
    for about in metadata.metadata().row_groups().iter().skip(group) {
        if room == 0 || bytes >= AHEAD {
            break;
        }
        let (more, _) = parts_of(about, Some(wanted), room);
        bytes += more.iter().map(|part| part.end - part.start).sum::<u64>();
        parts.extend(more);
        room = room.saturating_sub(u64::try_from(about.num_rows()).unwrap_or(0));
        *ahead += 1;
    }
    parts
}

/// What is needed of one row group for `room` rows, and about how much memory the columns have.
fn parts_of(about: &RowGroupMetaData, wanted: Option<&[&str]>, room: u64) -> (Vec<Range<u64>>, u64) {
    let rows = u64::try_from(about.num_rows()).unwrap_or(0).max(1);
    let share = room.min(rows);
    let (mut parts, mut memory) = (Vec::new(), 0);
    for chunk in about.columns() {
        let column = chunk.column_path().parts().first();
        if wanted.is_some_and(|wanted| !column.is_some_and(|column| wanted.contains(&column.as_str()))) {
            continue;
        }
        let (start, length) = chunk.byte_range();
        let part = (u128::from(length) * u128::from(share) * 5 / 4 / u128::from(rows)) as u64;
        let part = if share == rows { length } else { part.saturating_add(MARGIN).min(length) };
        parts.push(start..start.saturating_add(part.min(AT_ONCE)));
        memory += u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
    }
    (parts, memory)
}

/// Reads one row group, about `room` rows of it; of a remote file that much is fetched at once.
fn group_reader(
    input: &Input,
    metadata: &ArrowReaderMetadata,
    group: usize,
    wanted: Option<&[&str]>,
    room: u64,
    name: &str,
) -> Result<ParquetRecordBatchReader, StageError> {
    let failed = |error: &dyn std::fmt::Display| unreadable(name, error);
    let about = metadata.metadata().row_group(group);
    let rows = u64::try_from(about.num_rows()).unwrap_or(0).max(1);
    let (parts, memory) = parts_of(about, wanted, room);
    input.fetch(&parts).map_err(|error| failed(&error))?;
    let mask = match wanted {
        None => ProjectionMask::all(),
        Some(wanted) => {
            let roots = metadata.schema().fields().iter().enumerate();
            let roots = roots.filter(|(_, field)| wanted.contains(&field.name().as_str())).map(|(at, _)| at);
            ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), roots)
        }
    };
    let each = (memory / rows).max(1);
    let batch = (BATCH_BYTES / each).clamp(1, BATCH_ROWS).min(room.max(1));
    let input = input.again().map_err(|error| failed(&error))?;
    ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata.clone())
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(usize::try_from(batch).unwrap_or(1))
        .build()
        .map_err(|error| failed(&error))
}

fn rows(batch: &RecordBatch, plan: &Plan, name: &str, row: &mut u64, taker: &mut dyn Taker) -> Flow {
    if let Plan::Text(column) = plan {
        let Some(array) = batch.column_by_name(column) else { return Ok(ControlFlow::Continue(())) };
        for at in 0..batch.num_rows() {
            *row += 1;
            let text =
                text(array, at).map_err(|what| broken_row(name, *row, &format!("`{column}`: {what}")))?;
            match text.filter(|text| !text.is_empty()) {
                None => taker.empty(),
                Some(text) => {
                    if taker.document(&BodyRef::Text(text))?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        return Ok(ControlFlow::Continue(()));
    }
    for at in 0..batch.num_rows() {
        *row += 1;
        let values = row_of(batch, at).map_err(|what| broken_row(name, *row, &what))?;
        match plan.document(&values).map_err(|what| broken_row(name, *row, &what))? {
            None => taker.empty(),
            Some(body) => {
                let document = Document { body, source: String::new() };
                if taker.document(&document.borrow().body)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn row_of(batch: &RecordBatch, at: usize) -> Result<Row, String> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .map(|(field, array)| match cell(array, at) {
            Ok(value) => Ok((field.name().clone(), value)),
            Err(what) => Err(format!("`{}`: {what}", field.name())),
        })
        .collect()
}

/// What a file of parquet holds, for people.
pub(crate) struct Table {
    /// Names and types.
    pub(crate) fields: Vec<(String, String)>,
    /// The columns as they are understood.
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: u64,
    /// The first rows.
    pub(crate) sample: Vec<Row>,
}

/// Looks at a file and at its first rows.
pub(crate) fn table_of(input: &Input, name: &str, most: usize) -> Result<Table, StageError> {
    let metadata = metadata(input, name)?;
    let fields = metadata.schema().fields().iter();
    let fields = fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect();
    let mut columns = columns(&metadata);
    weigh(&metadata, &mut columns);
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    let mut sample = Vec::new();
    for group in 0..metadata.metadata().num_row_groups() {
        if sample.len() >= most || metadata.metadata().row_group(group).num_rows() == 0 {
            continue;
        }
        let room = (most - sample.len()) as u64;
        for batch in group_reader(input, &metadata, group, None, room, name)? {
            let batch = batch.map_err(|error| unreadable(name, &error))?;
            sample.extend((0..batch.num_rows().min(most - sample.len())).map(|at| shown(&batch, at)));
            if sample.len() >= most {
                break;
            }
        }
    }
    Ok(Table { fields, columns, rows, sample })
}

/// A row as far as it can be shown.
fn shown(batch: &RecordBatch, at: usize) -> Row {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let values = columns.map(|(field, array)| {
        let value = cell(array, at).unwrap_or_else(|what| format!("({what})").into());
        (field.name().clone(), value)
    });
    values.collect()
}
