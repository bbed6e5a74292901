//! Memory of weights, in pages as large as the system has: with small ones, to find out where each is takes half as long as to read it.
use crate::cpu::lines::LINE;
use memmap2::MmapMut;
use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Words that are asked of the system at once: 64 MiB, of which it hands out what is touched.
const CHUNK: usize = 1 << 24;

/// The chunk of which the next weights get their words, as long as others have some of it, and how many are taken.
static OPEN: Mutex<(Weak<Chunk>, usize)> = Mutex::new((Weak::new(), 0));

struct Chunk {
    words: *mut u32,
    len: usize,
    _memory: MmapMut,
}

#[expect(unsafe_code, reason = "words that many weights have")]
// SAFETY: it is memory, of which each `Words` has its own part.
unsafe impl Send for Chunk {}
#[expect(unsafe_code, reason = "words that many weights have")]
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    fn new(words: usize) -> Self {
        let bytes = size_of::<u32>() * words;
        let Ok(mut memory) = MmapMut::map_anon(bytes) else {
            handle_alloc_error(Layout::array::<u32>(words).unwrap_or(Layout::new::<u32>()))
        };
        // Where the system has no large pages, it goes on with small ones.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Self { words: memory.as_mut_ptr().cast(), len: words, _memory: memory }
    }
}

/// Words of a weight.
pub(super) struct Words {
    chunk: Arc<Chunk>,
    first: usize,
    len: usize,
}

impl Words {
    /// So many, all zero.
    pub(super) fn zero(len: usize) -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (chunk, taken) = &mut *open;
        let found = chunk.upgrade().filter(|chunk| chunk.len - *taken >= len);
        let found = found.unwrap_or_else(|| {
            let new = Arc::new(Chunk::new(len.next_multiple_of(LINE).max(CHUNK)));
            (*chunk, *taken) = (Arc::downgrade(&new), 0);
            new
        });
        let first = *taken;
        *taken = (first + len).next_multiple_of(LINE);
        Self { chunk: found, first, len }
    }

    pub(super) fn all(&self) -> &[u32] {
        #[expect(unsafe_code, reason = "words that many weights have")]
        // SAFETY: within the chunk, which lives as long, and nobody else has these words.
        unsafe {
            std::slice::from_raw_parts(self.chunk.words.add(self.first), self.len)
        }
    }

    pub(super) fn all_mut(&mut self) -> &mut [u32] {
        #[expect(unsafe_code, reason = "words that many weights have")]
        // SAFETY: as above.
        unsafe {
            std::slice::from_raw_parts_mut(self.chunk.words.add(self.first), self.len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_words_of_its_own() {
        let lens = [5, 0, 100_000, CHUNK - 50, 3, CHUNK + 7, 64];
        for _ in 0..2 {
            let mut all: Vec<Words> = lens.iter().map(|len| Words::zero(*len)).collect();
            for (words, number) in all.iter_mut().zip(1..) {
                assert!(words.all().iter().all(|word| *word == 0), "what comes is zero");
                assert_eq!(words.all().as_ptr() as usize % (4 * LINE), 0);
                words.all_mut().fill(number);
            }
            for ((words, number), len) in all.iter().zip(1..).zip(lens) {
                assert_eq!(words.all().len(), len);
                assert!(words.all().iter().all(|word| *word == number));
            }
        }
    }
}
