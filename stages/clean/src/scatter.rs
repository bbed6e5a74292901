//! Records on disk, parted by the high bits of their keys: what is too much for memory is worked on part by part.
use muse_stage::StageError;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A part is meant to have about so many bytes.
const PART_BYTES: u64 = 16 << 20;
/// There are no more parts than this.
const MOST_PARTS: u64 = 4096;
/// All buffers together.
const BUFFERS: usize = 32 << 20;
/// And each no more than this.
const LARGEST_BUFFER: usize = 256 << 10;

/// Takes records.
pub(crate) struct Scatter {
    folder: PathBuf,
    /// What is not written yet, for each part.
    buffers: Vec<Vec<u8>>,
    /// Whether the part has a file.
    written: Vec<bool>,
    limit: usize,
    bits: u32,
}

impl Scatter {
    /// In a folder of its own, for about so many bytes. Parts are ranges of keys, so their order is that of the
    /// keys, however many there are.
    pub(crate) fn create(folder: PathBuf, bytes: u64) -> Result<Self, StageError> {
        fs::create_dir_all(&folder).map_err(StageError::io(&folder))?;
        let parts = bytes.div_ceil(PART_BYTES).clamp(1, MOST_PARTS).next_power_of_two();
        let bits = parts.trailing_zeros();
        let parts = 1usize << bits;
        let limit = (BUFFERS / parts).min(LARGEST_BUFFER);
        Ok(Self { folder, buffers: vec![Vec::new(); parts], written: vec![false; parts], limit, bits })
    }

    /// Adds a record; `write` appends its bytes.
    pub(crate) fn push(&mut self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), StageError> {
        let part = key.checked_shr(64 - self.bits).unwrap_or(0) as usize;
        let buffer = &mut self.buffers[part];
        write(buffer);
        if buffer.len() >= self.limit { self.flush(part) } else { Ok(()) }
    }

    fn flush(&mut self, part: usize) -> Result<(), StageError> {
        let path = path(&self.folder, part);
        // Opened for each buffer, so that there may be more parts than files may be open.
        let mut file =
            File::options().create(true).append(true).open(&path).map_err(StageError::io(&path))?;
        file.write_all(&self.buffers[part]).map_err(StageError::io(&path))?;
        self.buffers[part].clear();
        self.written[part] = true;
        Ok(())
    }

    /// The parts that have records, in the order of their keys.
    pub(crate) fn finish(mut self) -> Result<Vec<Part>, StageError> {
        for part in 0..self.buffers.len() {
            if !self.buffers[part].is_empty() {
                self.flush(part)?;
            }
            self.buffers[part] = Vec::new();
        }
        let there = self.written.iter().enumerate().filter(|(_, there)| **there);
        Ok(there.map(|(part, _)| Part(path(&self.folder, part))).collect())
    }
}

/// A part's records, in the order in which they came.
pub(crate) struct Part(PathBuf);

impl Part {
    /// Reads them; the file goes.
    pub(crate) fn take(self) -> Result<Vec<u8>, StageError> {
        let bytes = fs::read(&self.0).map_err(StageError::io(&self.0))?;
        fs::remove_file(&self.0).map_err(StageError::io(&self.0))?;
        Ok(bytes)
    }
}

fn path(folder: &Path, part: usize) -> PathBuf {
    folder.join(format!("{part:04}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    #[test]
    fn records_come_back_in_ranges_of_keys_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [0, 1 << 20, 1 << 30, 1 << 40] {
            let mut scatter = Scatter::create(folder.path().join(bytes.to_string()), bytes).unwrap();
            for number in 0..100_000u64 {
                scatter.push(mix(number), |to| to.extend(number.to_le_bytes())).unwrap();
            }
            let (mut all, mut last) = (Vec::new(), 0);
            for part in scatter.finish().unwrap() {
                let numbers: Vec<u64> = part
                    .take()
                    .unwrap()
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|bytes| u64::from_le_bytes(*bytes))
                    .collect();
                assert!(numbers.is_sorted());
                assert!(last <= numbers.iter().map(|number| mix(*number)).min().unwrap());
                last = numbers.iter().map(|number| mix(*number)).max().unwrap();
                all.extend(numbers);
            }
            all.sort_unstable();
            assert_eq!(all, (0..100_000).collect::<Vec<_>>());
            assert_eq!(fs::read_dir(folder.path().join(bytes.to_string())).unwrap().count(), 0);
        }
    }
}
