//! A GGUF file, version 3: keys with their values, then what tensors there are, then their bytes.
use super::{quantize, trits};
use muse_model::exchange::gguf;
use muse_stage::StageError;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Tensors begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 32;
const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// What values are, as the format numbers it.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

impl From<gguf::Value> for Value {
    fn from(value: gguf::Value) -> Self {
        match value {
            gguf::Value::U32(number) => Self::U32(number),
            gguf::Value::F32(number) => Self::F32(number),
            gguf::Value::Text(text) => Self::Text(text),
        }
    }
}

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    Q8,
    Q4,
    /// Three values, two bits each.
    Tq2,
    /// Three values, five to a byte.
    Tq1,
}

impl Kind {
    /// As the format numbers it.
    fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4 => 2,
            Self::Q8 => 8,
            Self::Bf16 => 30,
            Self::Tq1 => 34,
            Self::Tq2 => 35,
        }
    }

    /// What `general.file_type` says of a file in which most tensors are so.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4 => 2,
            Self::Q8 => 7,
            Self::Bf16 => 32,
            Self::Tq1 => 36,
            Self::Tq2 => 37,
        }
    }
}

/// A tensor without its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Rows before columns.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
}

impl Tensor {
    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        let numbers: usize = self.shape.iter().product();
        match self.kind {
            Kind::F32 => numbers * 4,
            Kind::F16 | Kind::Bf16 => numbers * 2,
            Kind::Q8 => numbers / quantize::BLOCK * quantize::Q8_BYTES,
            Kind::Q4 => numbers / quantize::BLOCK * quantize::Q4_BYTES,
            Kind::Tq2 => numbers / trits::BLOCK * trits::TQ2_BYTES,
            Kind::Tq1 => numbers / trits::BLOCK * trits::TQ1_BYTES,
        }
    }
}

/// A file that is being written.
pub(crate) struct File {
    path: PathBuf,
    file: BufWriter<fs::File>,
}

impl File {
    /// Writes all that stands before the tensors. These must follow in the same order.
    pub(crate) fn create(
        path: &Path,
        keys: &[(String, Value)],
        tensors: &[Tensor],
    ) -> Result<Self, StageError> {
        let mut head = Vec::from(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend((tensors.len() as u64).to_le_bytes());
        head.extend((keys.len() as u64).to_le_bytes());
        for (key, value) in keys {
            text(&mut head, key);
            write_value(&mut head, value);
        }
        let mut place = 0_u64;
        for tensor in tensors {
            text(&mut head, &tensor.name);
            head.extend((tensor.shape.len() as u32).to_le_bytes());
            // Columns before rows.
            tensor.shape.iter().rev().for_each(|side| head.extend((*side as u64).to_le_bytes()));
            head.extend(tensor.kind.number().to_le_bytes());
            head.extend(place.to_le_bytes());
            place += tensor.bytes().next_multiple_of(ALIGNMENT) as u64;
        }
        head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
        let file = fs::File::create_new(path).map_err(StageError::io(path))?;
        let mut file = Self { path: path.to_owned(), file: BufWriter::new(file) };
        file.write(&head)?;
        Ok(file)
    }

    /// Writes the next tensor.
    pub(crate) fn put(&mut self, tensor: &Tensor, bytes: &[u8]) -> Result<(), StageError> {
        let (has, should) = (bytes.len(), tensor.bytes());
        if has != should {
            return Err(StageError::new(format!(
                "`{}` has {has} bytes and should have {should}",
                tensor.name
            )));
        }
        self.write(bytes)?;
        self.write(&[0; ALIGNMENT][..has.next_multiple_of(ALIGNMENT) - has])
    }

    /// Ends it.
    pub(crate) fn finish(mut self) -> Result<(), StageError> {
        self.file.flush().map_err(StageError::io(&self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        self.file.write_all(bytes).map_err(StageError::io(&self.path))
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}

fn write_value(to: &mut Vec<u8>, value: &Value) {
    let list = |to: &mut Vec<u8>, kind: u32, len: usize| {
        to.extend(ARRAY.to_le_bytes());
        to.extend(kind.to_le_bytes());
        to.extend((len as u64).to_le_bytes());
    };
    match value {
        Value::U32(number) => to.extend([U32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::F32(number) => to.extend([F32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::Bool(flag) => {
            to.extend(BOOL.to_le_bytes());
            to.push(u8::from(*flag));
        }
        Value::Text(value) => {
            to.extend(TEXT.to_le_bytes());
            text(to, value);
        }
        Value::Texts(all) => {
            list(to, TEXT, all.len());
            all.iter().for_each(|one| text(to, one));
        }
        Value::I32s(all) => {
            list(to, I32, all.len());
            all.iter().for_each(|one| to.extend(one.to_le_bytes()));
        }
        Value::F32s(all) => {
            list(to, F32, all.len());
            all.iter().for_each(|one| to.extend(one.to_le_bytes()));
        }
    }
}
