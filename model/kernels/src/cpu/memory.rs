//! Memory that is used again: a step of training asks for the same sizes as the one before, and what the system hands out must
//! be emptied first, page by page.
use burn_std::{AllocationController, AllocationProperty, Bytes};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No more numbers are kept for later: 256 MiB of them.
const MOST: usize = 1 << 26;
/// Fewer numbers are not worth it.
const LEAST: usize = 1 << 10;

/// What is kept, by how many numbers there are.
#[derive(Default)]
struct Kept {
    by_len: HashMap<usize, Vec<Vec<f32>>>,
    numbers: usize,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers to be written over: what they are now is nothing to go by.
pub(super) fn to_fill(len: usize) -> Vec<f32> {
    if len < LEAST {
        return vec![0.0; len];
    }
    let found = kept().as_mut().and_then(|kept| {
        let numbers = kept.by_len.get_mut(&len)?.pop()?;
        kept.numbers -= len;
        Some(numbers)
    });
    found.unwrap_or_else(|| vec![0.0; len])
}

/// The same, all zero.
pub(super) fn zeros(len: usize) -> Vec<f32> {
    let mut numbers = to_fill(len);
    numbers.fill(0.0);
    numbers
}

/// Keeps numbers that nobody needs any more.
pub(super) fn give_back(numbers: Vec<f32>) {
    let len = numbers.len();
    if !(LEAST..=MOST).contains(&len) {
        return;
    }
    let mut guard = kept();
    let kept = guard.get_or_insert_default();
    if kept.numbers + len > MOST {
        // Sizes have changed, or there is too much of everything: begin anew.
        *kept = Kept::default();
    }
    kept.numbers += len;
    kept.by_len.entry(len).or_default().push(numbers);
}

/// Numbers as the bytes of a tensor, given back when the tensor is gone.
pub(super) fn bytes(numbers: Vec<f32>) -> Bytes {
    let len = size_of_val(numbers.as_slice());
    #[expect(unsafe_code, reason = "Burn's way to memory of another kind")]
    // SAFETY: all of the vector's bytes are initialized, and so many there are.
    unsafe {
        Bytes::from_controller(Box::new(Held(numbers)), len)
    }
}

/// The numbers of a tensor.
struct Held(Vec<f32>);

impl Drop for Held {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

#[expect(unsafe_code, reason = "Burn's way to memory of another kind")]
impl AllocationController for Held {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.0);
        // SAFETY: the same bytes; the caller promises to write initialized ones alone.
        unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
    }

    fn memory(&self) -> &[MaybeUninit<u8>] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.0);
        // SAFETY: the same bytes; whatever is initialized may be taken for what need not be.
        unsafe { &*(std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_used_again() {
        // A size that no other test has.
        let len = 123_457;
        let mut numbers = to_fill(len);
        numbers.fill(3.0);
        let place = numbers.as_ptr();
        drop(bytes(numbers));
        let again = to_fill(len);
        assert_eq!((again.as_ptr(), again.len()), (place, len));
        drop(bytes(again));
        assert!(zeros(len).iter().all(|x| *x == 0.0));
    }

    #[test]
    fn copies_have_memory_of_their_own() {
        let one = bytes(vec![1.0; 2048]);
        let mut two = one.clone();
        two.fill(0);
        assert!(one.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn no_more_is_kept_than_is_said() {
        for len in [MOST / 2, MOST / 2 - 1, MOST / 2 - 2, MOST + 1] {
            give_back(vec![0.0; len]);
            assert!(kept().as_ref().is_some_and(|kept| kept.numbers <= MOST));
        }
    }
}
