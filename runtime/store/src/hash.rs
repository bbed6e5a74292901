//! The hash of a file, on all cores where it is large, without mapping it into memory.
use crate::Digest;
use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What one thread reads at a time: a power of two, as BLAKE3's tree wants it, that fits the cache.
const PIECE: u64 = 512 * 1024;

/// Files below this are read in one go: spreading them over threads costs more than it gains.
const SMALL: u64 = 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The digest of the first `length` bytes of a file; an error where it is shorter.
///
/// A mapped file that shrinks kills the process with SIGBUS, and reading in pieces is as fast.
pub(crate) fn hash_file(file: &File, length: u64) -> io::Result<Digest> {
    if length < SMALL {
        let hash = with_piece(file, 0, length, blake3::hash)?;
        return Ok(hash.into());
    }
    let (left, right) = halves(file, 0, length)?;
    Ok(merge_subtrees_root(&left, &right, Mode::Hash).into())
}

/// The hash of a part that is a whole subtree: at a multiple of its own size, or the file's last.
fn subtree(file: &File, offset: u64, length: u64) -> io::Result<ChainingValue> {
    if length <= PIECE {
        return with_piece(file, offset, length, |bytes| {
            Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
        });
    }
    let (left, right) = halves(file, offset, length)?;
    Ok(merge_subtrees_non_root(&left, &right, Mode::Hash))
}

fn halves(file: &File, offset: u64, length: u64) -> io::Result<(ChainingValue, ChainingValue)> {
    let left = left_subtree_len(length);
    let (right, rest) = (offset.saturating_add(left), length.saturating_sub(left));
    let (left, right) = rayon::join(|| subtree(file, offset, left), || subtree(file, right, rest));
    Ok((left?, right?))
}

fn with_piece<T>(file: &File, offset: u64, length: u64, work: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // Taken out of its place while in use: rayon may start another piece on this thread meanwhile.
    let mut buffer = BUFFER.take();
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let Some(piece) = buffer.get_mut(..length) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    file.read_exact_at(piece, offset)?;
    let result = work(piece);
    BUFFER.set(buffer);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_tree_of_pieces_is_blake3() {
        let whole: Vec<u8> = (0..(5 * PIECE + 4321)).map(|at| ((at * at) >> 7) as u8).collect();
        for length in
            [0, 1, 1023, 1024, 1025, PIECE, SMALL - 1, SMALL, SMALL + 1, 3 * PIECE, 5 * PIECE + 4321]
        {
            let bytes = &whole[..length as usize];
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            assert_eq!(hash_file(&file, length).unwrap(), Digest::of_bytes(bytes), "{length} bytes");
        }
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        assert!(hash_file(&file, 5001).is_err());
        assert!(hash_file(&file, 3 * PIECE).is_err());
    }
}
