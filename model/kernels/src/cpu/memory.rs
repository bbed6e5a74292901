//! Memory that is used again: a step of training asks for the same sizes as the one before, and what the system hands out must
//! be emptied first, page by page. No more is kept than was in use at once.
use burn_std::{AllocationController, AllocationProperty, Bytes};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Fewer numbers are not worth it.
const LEAST: usize = 1 << 10;
/// So many numbers more than were in use at once, in all: 16 MiB, so that sizes may take turns.
const MORE: usize = 1 << 22;

/// What waits to be used again, and how much is in use.
struct Store {
    shelves: BTreeMap<usize, Shelf>,
    waiting: usize,
    in_use: usize,
    most_in_use: usize,
    asked: u64,
}

/// What there is of one size.
#[derive(Default)]
struct Shelf {
    waiting: Vec<Vec<f32>>,
    /// When it was last asked for one.
    asked: u64,
}

/// What is let go, outside of the lock: the system takes its time.
type Gone = Vec<Vec<f32>>;

static STORE: Mutex<Store> = Mutex::new(Store::new());

fn store() -> MutexGuard<'static, Store> {
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    const fn new() -> Self {
        Self { shelves: BTreeMap::new(), waiting: 0, in_use: 0, most_in_use: 0, asked: 0 }
    }

    /// Numbers of this size, or what must go to make room for them.
    fn take(&mut self, len: usize) -> Result<Vec<f32>, Gone> {
        self.asked += 1;
        let shelf = self.shelves.entry(len).or_default();
        shelf.asked = self.asked;
        let found = shelf.waiting.pop().inspect(|_| self.waiting -= len);
        found.ok_or_else(|| self.too_much_with(len))
    }

    #[must_use]
    fn keep(&mut self, numbers: Vec<f32>) -> Gone {
        let len = numbers.len();
        self.waiting += len;
        self.shelves.entry(len).or_default().waiting.push(numbers);
        self.too_much_with(0)
    }

    /// What was not asked for the longest, where there is too much once so many more are in use.
    fn too_much_with(&mut self, coming: usize) -> Gone {
        let limit = self.most_in_use.max(self.in_use + coming) + MORE;
        let mut gone = Vec::new();
        while self.waiting > 0 && self.in_use + self.waiting + coming > limit {
            let full = self.shelves.iter_mut().filter(|(_, shelf)| !shelf.waiting.is_empty());
            let Some((len, shelf)) = full.min_by_key(|(_, shelf)| shelf.asked) else { break };
            self.waiting -= len;
            gone.extend(shelf.waiting.pop());
        }
        gone
    }

    fn hold(&mut self, len: usize) {
        self.in_use += len;
        self.most_in_use = self.most_in_use.max(self.in_use);
    }
}

/// Numbers to be written over: what they are now is nothing to go by.
pub(super) fn to_fill(len: usize) -> Vec<f32> {
    if len < LEAST {
        return vec![0.0; len];
    }
    let taken = store().take(len);
    taken.unwrap_or_else(|gone| {
        drop(gone);
        vec![0.0; len]
    })
}

/// The same, all zero.
pub(super) fn zeros(len: usize) -> Vec<f32> {
    let mut numbers = to_fill(len);
    numbers.fill(0.0);
    numbers
}

/// Keeps numbers that nobody needs any more.
pub(super) fn give_back(numbers: Vec<f32>) {
    if numbers.len() >= LEAST {
        let gone = store().keep(numbers);
        drop(gone);
    }
}

/// Lets go of all that waits: whoever needed it is done.
pub(super) fn let_go() {
    let mut store = store();
    let in_use = store.in_use;
    let gone = std::mem::replace(&mut *store, Store { in_use, most_in_use: in_use, ..Store::new() });
    drop(store);
    drop(gone);
}

/// Numbers as the bytes of a tensor, given back when the tensor is gone.
pub(super) fn bytes(numbers: Vec<f32>) -> Bytes {
    let len = size_of_val(numbers.as_slice());
    store().hold(numbers.len());
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
        let numbers = std::mem::take(&mut self.0);
        let mut store = store();
        store.in_use = store.in_use.saturating_sub(numbers.len());
        drop(store);
        give_back(numbers);
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

    fn taken(store: &mut Store, len: usize) -> Vec<f32> {
        store.take(len).unwrap_or_else(|_| vec![0.0; len])
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut store = Store::new();
        let mut numbers = taken(&mut store, 5000);
        numbers.fill(3.0);
        assert!(store.keep(numbers).is_empty());
        assert!(taken(&mut store, 5000).iter().all(|x| *x == 3.0));
        assert_eq!(store.waiting, 0);
    }

    #[test]
    fn tensors_give_theirs_back_when_they_are_gone() {
        // A size that no other test has. The others run at the same time: now and then they let go of what waits, and what is
        // in use goes up and down with them.
        let (len, many) = (123_457, 1000);
        let before = store().in_use;
        let back = (0..many).filter(|_| {
            drop(bytes(vec![3.0; len]));
            to_fill(len).iter().all(|x| *x == 3.0)
        });
        assert!(back.count() > many / 2);
        assert!(store().in_use < before + len * many / 2, "what is gone counts as used");
    }

    #[test]
    fn no_more_waits_than_was_in_use_at_once() {
        let mut store = Store::new();
        let most = 4 * MORE;
        store.hold(most);
        store.in_use = 0;
        for (len, many) in [(MORE / 2, 12), (MORE / 4, 3), (MORE / 3, 20), (MORE, 9)] {
            let all: Vec<Vec<f32>> = (0..many).map(|_| taken(&mut store, len)).collect();
            for numbers in all {
                drop(store.keep(numbers));
                assert!(store.waiting <= most + MORE, "{} wait", store.waiting);
            }
        }
        assert!(store.take(MORE).is_ok(), "what was asked for last is still there");
        assert!(store.take(MORE / 2).is_err(), "what waited longest is gone");
    }
}
