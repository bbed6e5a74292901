//! Reads a corpus piece by piece: what this writes, and what others write in parquet with the same columns.
use super::schema::{MESSAGES, SOURCE, TEXT};
use super::{Body, Document, Message};
use crate::{ArtifactError, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A batch is about so many bytes of text.
const BATCH_BYTES: usize = 4 << 20;
/// And no more documents than this.
const BATCH_ROWS: usize = 8192;

/// A corpus that can be read.
pub struct Corpus {
    files: Vec<(PathBuf, ArrowReaderMetadata)>,
    pieces: Vec<Piece>,
}

/// A part of a corpus that is read on its own: a row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    file: usize,
    group: usize,
    /// Documents in it.
    pub documents: u64,
    /// About how many bytes it has in memory.
    pub bytes: u64,
}

/// Some documents, in memory.
pub struct Batch {
    text: Option<StringArray>,
    messages: Option<Chats>,
    source: Option<StringArray>,
    rows: usize,
}

struct Chats {
    list: ListArray,
    role: StringArray,
    content: StringArray,
    extra: Option<StringArray>,
}

/// A document that stands in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRef<'a> {
    /// What it holds.
    pub body: BodyRef<'a>,
    /// Where it is from.
    pub source: &'a str,
}

/// What a document holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRef<'a> {
    /// Plain text.
    Text(&'a str),
    /// A conversation.
    Chat(Vec<MessageRef<'a>>),
}

/// One turn of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef<'a> {
    /// Who speaks.
    pub role: &'a str,
    /// What was said.
    pub content: &'a str,
    /// What else stood there, as a JSON object.
    pub extra: Option<&'a str>,
}

impl Corpus {
    /// Opens a folder of parquet files, or one file. Reads no documents yet.
    pub fn open(path: &Path) -> Result<Self> {
        let names = if path.is_dir() { parquet_files(path)? } else { vec![path.to_owned()] };
        let mut corpus = Self { files: Vec::new(), pieces: Vec::new() };
        for name in names {
            let file = File::open(&name).map_err(ArtifactError::io(&name))?;
            let metadata =
                ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))
                    .map_err(|error| broken(&name, &error))?;
            check_columns(&name, &metadata)?;
            for (group, about) in metadata.metadata().row_groups().iter().enumerate() {
                let count = |number: i64| u64::try_from(number).unwrap_or_default();
                corpus.pieces.push(Piece {
                    file: corpus.files.len(),
                    group,
                    documents: count(about.num_rows()),
                    bytes: count(about.total_byte_size()),
                });
            }
            corpus.files.push((name, metadata));
        }
        Ok(corpus)
    }

    /// Its parts, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Its files, in order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// How many documents it has.
    pub fn documents(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.documents).sum()
    }

    /// The documents of one piece, batch by batch.
    pub fn read(&self, piece: &Piece) -> Result<impl Iterator<Item = Result<Batch>> + use<>> {
        let (path, metadata) = &self.files[piece.file];
        let path = path.clone();
        let file = File::open(&path).map_err(ArtifactError::io(&path))?;
        let each = usize::try_from(piece.bytes / piece.documents.max(1)).unwrap_or(usize::MAX).max(1);
        let columns = metadata.metadata().file_metadata().schema_descr();
        let wanted = ProjectionMask::columns(columns, [TEXT, MESSAGES, SOURCE]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![piece.group])
            .with_projection(wanted)
            .with_batch_size((BATCH_BYTES / each).clamp(1, BATCH_ROWS))
            .build()
            .map_err(|error| broken(&path, &error))?;
        Ok(reader.map(move |batch| {
            let batch = batch.map_err(|error| broken(&path, &error))?;
            Batch::new(&batch).ok_or_else(|| broken(&path, &"its columns are not what its schema says"))
        }))
    }

    /// All documents, in order.
    pub fn batches(&self) -> impl Iterator<Item = Result<Batch>> + '_ {
        self.pieces.iter().flat_map(|piece| match self.read(piece) {
            Ok(batches) => Box::new(batches) as Box<dyn Iterator<Item = Result<Batch>>>,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })
    }
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> ArtifactError {
    ArtifactError::format(path, format!("not a corpus that can be read: {error}"))
}

/// The parquet files of a folder by name; one at least.
fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(ArtifactError::io(folder))? {
        let path = entry.map_err(ArtifactError::io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let help =
            "a corpus is a folder of parquet files with a column `text` or `messages`: `download` makes one";
        return Err(ArtifactError::format(folder, "no corpus: there is no parquet file in it").help(help));
    }
    Ok(files)
}

fn check_columns(path: &Path, metadata: &ArrowReaderMetadata) -> Result<()> {
    let fields = metadata.schema().fields();
    let text = |name: &str| fields.iter().find(|field| field.name() == name).map(|field| field.data_type());
    let help = "`download` with `source: file` reads any file with a column of texts or chats into a corpus";
    if text(TEXT).is_none() && text(MESSAGES).is_none() {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let message = format!("no column `text` or `messages`; there are: {}", names.join(", "));
        return Err(ArtifactError::format(path, message).help(help));
    }
    let wrong = |name: &str, found: &DataType| {
        ArtifactError::format(path, format!("the column `{name}` is {found}, which no corpus has")).help(help)
    };
    for name in [TEXT, SOURCE] {
        if let Some(found) = text(name).filter(|found| **found != DataType::Utf8) {
            return Err(wrong(name, found));
        }
    }
    if let Some(found) = text(MESSAGES) {
        let fields = match found {
            DataType::List(element) => match element.data_type() {
                DataType::Struct(fields) => Some(fields),
                _ => None,
            },
            _ => None,
        };
        let good = |name: &str| {
            fields
                .and_then(|fields| fields.iter().find(|field| field.name() == name))
                .is_some_and(|field| *field.data_type() == DataType::Utf8)
        };
        if !good("role") || !good("content") {
            return Err(wrong(MESSAGES, found));
        }
    }
    Ok(())
}

impl Batch {
    fn new(batch: &RecordBatch) -> Option<Self> {
        let text = |name| batch.column_by_name(name).map(strings);
        let messages = batch.column_by_name(MESSAGES).map(Chats::new);
        Some(Self {
            text: flip(text(TEXT))?,
            messages: flip(messages)?,
            source: flip(text(SOURCE))?,
            rows: batch.num_rows(),
        })
    }

    /// How many documents it has.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The documents. A row that has neither text nor messages is an empty text.
    pub fn iter(&self) -> impl Iterator<Item = DocumentRef<'_>> {
        (0..self.rows).map(|row| {
            let chat = self.messages.as_ref().and_then(|chats| chats.row(row));
            let text = || value(self.text.as_ref(), row).unwrap_or_default();
            DocumentRef {
                body: chat.map_or_else(|| BodyRef::Text(text()), BodyRef::Chat),
                source: value(self.source.as_ref(), row).unwrap_or_default(),
            }
        })
    }
}

/// `None` outside only where something that is there could not be read.
fn flip<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(None) => None,
        Some(some) => Some(some),
        None => Some(None),
    }
}

fn strings(array: &ArrayRef) -> Option<StringArray> {
    array.as_string_opt::<i32>().cloned()
}

fn value(array: Option<&StringArray>, row: usize) -> Option<&str> {
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

impl Chats {
    fn new(array: &ArrayRef) -> Option<Self> {
        let list = array.as_list_opt::<i32>()?.clone();
        let messages: &StructArray = list.values().as_struct_opt()?;
        let column = |name| messages.column_by_name(name).and_then(strings);
        let (role, content, extra) = (column("role")?, column("content")?, column("extra"));
        Some(Self { role, content, extra, list })
    }

    fn row(&self, row: usize) -> Option<Vec<MessageRef<'_>>> {
        if self.list.is_null(row) {
            return None;
        }
        let offsets = self.list.value_offsets();
        let place = |at: usize| offsets.get(at).and_then(|at| usize::try_from(*at).ok()).unwrap_or_default();
        let message = |at| MessageRef {
            role: value(Some(&self.role), at).unwrap_or_default(),
            content: value(Some(&self.content), at).unwrap_or_default(),
            extra: value(self.extra.as_ref(), at),
        };
        Some((place(row)..place(row + 1)).map(message).collect())
    }
}

impl DocumentRef<'_> {
    /// A copy that owns.
    pub fn to_owned(&self) -> Document {
        let body = match &self.body {
            BodyRef::Text(text) => Body::Text((*text).to_owned()),
            BodyRef::Chat(messages) => Body::Chat(
                messages
                    .iter()
                    .map(|message| Message {
                        role: message.role.to_owned(),
                        content: message.content.to_owned(),
                        extra: message.extra.map(str::to_owned),
                    })
                    .collect(),
            ),
        };
        Document { body, source: self.source.to_owned() }
    }

    /// Bytes of its text; of a chat those of what was said.
    pub fn bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// Characters of its text; of a chat those of what was said.
    pub fn characters(&self) -> u64 {
        self.texts().map(|text| text.chars().count() as u64).sum()
    }

    /// Its text, or what each turn says.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (text, messages) = match &self.body {
            BodyRef::Text(text) => (Some(*text), [].as_slice()),
            BodyRef::Chat(messages) => (None, messages.as_slice()),
        };
        text.into_iter().chain(messages.iter().map(|message| message.content))
    }
}
