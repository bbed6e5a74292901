//! Reads tensors one by one from safetensors files: none is in memory before it is asked for.
use super::{Tensor, eight_bits, header, scales, two_bits};
use crate::{ArtifactError, Result};
use safetensors::Dtype;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The tensors of one or more files, from any number of threads.
pub struct Tensors {
    files: Vec<(PathBuf, File)>,
    tensors: Vec<(Tensor, Place)>,
    by_name: HashMap<String, usize>,
}

/// Where a tensor stands.
pub(super) struct Place {
    file: usize,
    pub(super) bytes: Range<u64>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its own numbers.
    Plain,
    /// A matrix of three values in two bits each, with the size of its numbers in a tensor beside.
    TwoBits,
    /// A matrix of codes of eight bits, with their scales in a tensor beside.
    EightBits,
    /// What stands beside such a matrix.
    Beside,
}

impl Tensors {
    /// Opens files and reads their heads. Names, sizes and places are checked; numbers are not looked at.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut all = Self { files: Vec::new(), tensors: Vec::new(), by_name: HashMap::new() };
        for path in paths {
            let file = File::open(&path).map_err(ArtifactError::io(&path))?;
            for (tensor, bytes) in header::decode(&path, &file)? {
                match all.by_name.entry(tensor.name.clone()) {
                    Entry::Occupied(_) => {
                        let said = format!("tensor `{}` stands in a file before, too", tensor.name);
                        return Err(ArtifactError::format(&path, said));
                    }
                    Entry::Vacant(free) => free.insert(all.tensors.len()),
                };
                all.tensors.push((tensor, Place { file: all.files.len(), bytes, kind: Kind::Plain }));
            }
            all.files.push((path, file));
        }
        all.find_matrices_in_bits();
        Ok(all)
    }

    /// Gives matrices in few bits the sizes of what they hold, and takes the tensors beside them for a part of them.
    fn find_matrices_in_bits(&mut self) {
        for beside in 0..self.tensors.len() {
            let (tensor, _) = &self.tensors[beside];
            let at = scales::of_scale(&tensor.name).and_then(|name| self.by_name.get(name).copied());
            let are_floats = matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
            let Some(at) = at.filter(|_| are_floats) else { continue };
            let beside_it = tensor.shape.clone();
            let (matrix, place) = &mut self.tensors[at];
            place.kind = match (matrix.dtype, matrix.shape.as_mut_slice()) {
                (Dtype::U8, [rows, _]) if beside_it == [1] => {
                    // The head was held against the file, so this is far from the end of numbers.
                    *rows = rows.saturating_mul(two_bits::FOUR);
                    Kind::TwoBits
                }
                (Dtype::I8, &mut [rows, columns]) if beside_it == [rows, eight_bits::scales_of(columns)] => {
                    Kind::EightBits
                }
                _ => continue,
            };
            self.tensors[beside].1.kind = Kind::Beside;
        }
    }

    /// All of them, in the order in which they stand.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|(_, place)| place.kind != Kind::Beside).map(|(tensor, _)| tensor)
    }

    /// All tensors as the files have them: matrices in few bits as these, and what stands beside them too.
    pub fn stored(&self) -> impl Iterator<Item = Tensor> {
        self.tensors.iter().map(|(tensor, place)| {
            let mut tensor = tensor.clone();
            if let (Kind::TwoBits, Some(rows)) = (place.kind, tensor.shape.first_mut()) {
                *rows /= two_bits::FOUR;
            }
            tensor
        })
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        Some(&self.find(name)?.0)
    }

    /// What speaks against these being weights of such names and shapes, all of them.
    pub fn unfit<'a>(&self, wanted: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Option<String> {
        wanted.into_iter().find_map(|(name, shape)| match self.get(name) {
            None => Some(format!("there is no `{name}` in it")),
            Some(found) if found.shape != shape => {
                Some(format!("`{name}` is {:?}, and by its configuration {shape:?}", found.shape))
            }
            Some(_) => None,
        })
    }

    /// The bytes of a tensor, numbers little-endian.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (_, place) = self.must_find(name)?;
        // No more than the file has, which the head was held against.
        let mut bytes = vec![0; usize::try_from(place.bytes.end - place.bytes.start).unwrap_or_default()];
        self.fill(place, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// The same into memory that is there, and as large as the tensor.
    pub fn read_into(&self, name: &str, bytes: &mut [u8]) -> Result<()> {
        let (_, place) = self.must_find(name)?;
        let (has, room) = (place.bytes.end - place.bytes.start, bytes.len());
        if has != room as u64 {
            let said = format!("tensor `{name}` has {has} bytes, and there is room for {room}");
            return Err(ArtifactError::format(self.path(place), said));
        }
        self.fill(place, 0, bytes)
    }

    /// Reads from a byte of the tensor on.
    pub(super) fn fill(&self, place: &Place, from: u64, bytes: &mut [u8]) -> Result<()> {
        let Some((path, file)) = self.files.get(place.file) else { return Ok(()) };
        file.read_exact_at(bytes, place.bytes.start.saturating_add(from)).map_err(ArtifactError::io(path))
    }

    fn find(&self, name: &str) -> Option<&(Tensor, Place)> {
        self.by_name.get(name).and_then(|&at| self.tensors.get(at))
    }

    pub(super) fn must_find(&self, name: &str) -> Result<&(Tensor, Place)> {
        self.find(name).ok_or_else(|| {
            let path = self.files.first().map(|(path, _)| path.as_path()).unwrap_or(Path::new("no file"));
            ArtifactError::format(path, format!("there is no tensor `{name}`"))
        })
    }

    pub(super) fn path(&self, place: &Place) -> &Path {
        self.files.get(place.file).map(|(path, _)| path.as_path()).unwrap_or(Path::new(""))
    }
}
