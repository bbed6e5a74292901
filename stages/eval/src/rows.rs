//! Reads items out of files: JSONL, JSON, CSV and parquet, also in a zip, each row as an object.
use crate::template::Fields;
use globset::{Glob, GlobMatcher};
use muse_stage::StageError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, List, Map as ParquetMap, Row};
use serde_json::{Deserializer, Value};
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// What files of a folder are called that may hold items.
const ENDINGS: [&str; 6] = ["jsonl", "ndjson", "json", "csv", "parquet", "zip"];
/// What stages say of what they made is none of it.
const REPORT: &str = "report.json";
/// A file in a zip that is larger is none of a task's.
const LARGEST_IN_ZIP: u64 = 1 << 30;
/// The column that says which file an item is from, where it has none of that name.
const FILE: &str = "file";

/// Where items are, and which.
pub(crate) struct Rows<'a> {
    /// A file, or a folder.
    pub(crate) root: &'a Path,
    /// Of a folder these files.
    pub(crate) glob: &'a str,
    /// Columns of CSV files without a line that names them.
    pub(crate) columns: &'a [String],
    /// No more than so many.
    pub(crate) most: usize,
}

impl Rows<'_> {
    /// Reads them, files by their names.
    pub(crate) fn read(&self) -> Result<Vec<Fields>, StageError> {
        let mut rows = Vec::new();
        if !self.root.is_dir() {
            self.file(self.root, "", &mut rows)?;
            return Ok(rows);
        }
        let glob =
            Glob::new(self.glob).map_err(|error| StageError::new(error.to_string()))?.compile_matcher();
        let mut files = Vec::new();
        below(self.root, self.root, &mut files).map_err(StageError::io(self.root))?;
        files.sort();
        let mut found = false;
        for (name, path) in &files {
            if name.ends_with(".zip") {
                found |= self.zip(path, &glob, &mut rows)?;
            } else if glob.is_match(name) {
                found = true;
                self.file(path, stem(name), &mut rows)?;
            }
        }
        if found {
            return Ok(rows);
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).take(20).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(StageError::new(format!("no file with items is called `{}`; there are: {there}", self.glob))
            .help("a task's `items` and `few_shot.items` are globs of names below the folder"))
    }

    fn file(&self, path: &Path, stem: &str, rows: &mut Vec<Fields>) -> Result<(), StageError> {
        let mut file = File::open(path).map_err(StageError::io(path))?;
        let mut start = [0; 4];
        let read = file.read(&mut start).map_err(StageError::io(path))?;
        match &start[..read] {
            b"PAR1" => self.parquet(path, stem, rows),
            b"PK\x03\x04" => {
                let every = Glob::new("**").map_err(|error| StageError::new(error.to_string()))?;
                self.zip(path, &every.compile_matcher(), rows).map(drop)
            }
            _ => {
                let bytes = fs::read(path).map_err(StageError::io(path))?;
                self.text(&path.display().to_string(), stem, &bytes, rows)
            }
        }
    }

    fn text(&self, place: &str, stem: &str, bytes: &[u8], rows: &mut Vec<Fields>) -> Result<(), StageError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'{' | b'[') => self.json(place, stem, bytes, rows),
            _ => self.csv(place, stem, bytes, rows),
        }
    }

    /// JSON values one behind the other, which is what JSONL is; the items of a list are rows.
    fn json(&self, place: &str, stem: &str, bytes: &[u8], rows: &mut Vec<Fields>) -> Result<(), StageError> {
        for value in Deserializer::from_slice(bytes).into_iter::<Value>() {
            let wrong = |error: serde_json::Error| StageError::new(format!("{place}: no JSON: {error}"));
            let all = match value.map_err(wrong)? {
                Value::Array(all) => all,
                one => vec![one],
            };
            for one in all {
                let Value::Object(fields) = one else {
                    return Err(StageError::new(format!("{place}: row {} is no object", rows.len() + 1)));
                };
                if !self.push(fields, stem, rows) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn csv(&self, place: &str, stem: &str, bytes: &[u8], rows: &mut Vec<Fields>) -> Result<(), StageError> {
        let wrong = |error: csv::Error| StageError::new(format!("{place}: no CSV: {error}"));
        let mut reader = csv::ReaderBuilder::new().has_headers(self.columns.is_empty()).from_reader(bytes);
        let names: Vec<String> = if self.columns.is_empty() {
            reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect()
        } else {
            self.columns.to_vec()
        };
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            if record.len() != names.len() {
                let message = format!(
                    "{place}: row {} has {} columns, not {}",
                    rows.len() + 1,
                    record.len(),
                    names.len()
                );
                return Err(
                    StageError::new(message).help("a task's `columns` names them where the file does not")
                );
            }
            let fields = names.iter().cloned().zip(record.iter().map(Value::from)).collect();
            if !self.push(fields, stem, rows) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn parquet(&self, path: &Path, stem: &str, rows: &mut Vec<Fields>) -> Result<(), StageError> {
        let wrong = |error: parquet::errors::ParquetError| {
            StageError::new(format!("{}: no parquet that can be read: {error}", path.display()))
        };
        let file = File::open(path).map_err(StageError::io(path))?;
        let reader = SerializedFileReader::new(file).map_err(wrong)?;
        for row in reader {
            if !self.push(object(&row.map_err(wrong)?), stem, rows) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The files of a zip that are meant. Whether there is one.
    fn zip(&self, path: &Path, glob: &GlobMatcher, rows: &mut Vec<Fields>) -> Result<bool, StageError> {
        let wrong = |error: zip::result::ZipError| {
            StageError::new(format!("{}: no zip that can be read: {error}", path.display()))
        };
        let file = File::open(path).map_err(StageError::io(path))?;
        let mut archive = zip::ZipArchive::new(file).map_err(wrong)?;
        let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
        let mut names: Vec<String> = names.collect::<Result<_, _>>().map_err(wrong)?;
        names.retain(|name| is_rows(name) && glob.is_match(name));
        names.sort();
        for name in &names {
            let mut bytes = Vec::new();
            let member = archive.by_name(name).map_err(wrong)?;
            member.take(LARGEST_IN_ZIP).read_to_end(&mut bytes).map_err(StageError::io(path))?;
            let place = format!("{}: {name}", path.display());
            self.text(&place, stem(name), &Cursor::new(bytes).into_inner(), rows)?;
        }
        Ok(!names.is_empty())
    }

    /// Adds a row. Whether more are wanted.
    fn push(&self, mut fields: Fields, stem: &str, rows: &mut Vec<Fields>) -> bool {
        if rows.len() < self.most {
            if !stem.is_empty() && !fields.contains_key(FILE) {
                fields.insert(FILE.to_owned(), stem.into());
            }
            rows.push(fields);
        }
        rows.len() < self.most
    }
}

/// The files below a folder that may hold items, with their names.
fn below(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            below(root, &path, files)?;
        } else if is_rows(&name) {
            files.push((name, path));
        }
    }
    Ok(())
}

fn is_rows(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let ending = last.rsplit_once('.').map_or("", |(_, ending)| ending);
    let hidden = name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
    !hidden && name != REPORT && ENDINGS.contains(&ending)
}

fn stem(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.rsplit_once('.').map_or(last, |(stem, _)| stem)
}

fn object(row: &Row) -> Fields {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => f64::from(*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => items(list),
        Field::MapInternal(map) => Value::Object(entries(map)),
        other => other.to_string().into(),
    }
}

fn items(list: &List) -> Value {
    list.elements().iter().map(value).collect()
}

fn entries(map: &ParquetMap) -> Fields {
    let name = |key: &Field| match key {
        Field::Str(name) => name.clone(),
        other => other.to_string(),
    };
    map.entries().iter().map(|(key, field)| (name(key), value(field))).collect()
}
