//! Sharing work among threads, in parts.
use super::threads;
use std::marker::PhantomData;
use std::ops::Range;

/// Numbers in a part: enough to be worth a thread's while.
const PART: usize = 1 << 13;

/// How many rows of this width make a part.
pub(super) fn rows_of_part(width: usize) -> usize {
    (PART / width.max(1)).max(1)
}

/// Fills numbers on the threads that operations have. `work` is told at which place its part begins.
pub fn fill(numbers: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    by_rows(numbers, 1, work);
}

/// Goes through things on the threads that operations have, one by one.
pub fn share_out<T: Send>(all: &mut [T], work: impl Fn(&mut T) + Sync) {
    by_parts([all], [1], |_, [one]| one.iter_mut().for_each(&work));
}

/// Hands out parts of whole rows: the number of the first row, and the rows.
pub(super) fn by_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_of_part(width);
    by_parts([out], [rows * width], |at, [part]| work(at * rows, part));
}

/// The same, and a slice beside that has a place for each row.
pub(super) fn by_rows_with<T: Send>(
    out: &mut [f32],
    width: usize,
    beside: &mut [T],
    work: impl Fn(usize, &mut [f32], &mut [T]) + Sync,
) {
    assert_eq!(beside.len() * width, out.len(), "a place for each row");
    let rows = rows_of_part(width);
    let (count, out, beside) =
        (beside.len().div_ceil(rows), Cut::new(out, rows * width), Cut::new(beside, rows));
    threads::parts(count, &|part| {
        #[expect(unsafe_code, reason = "parts of a slice on several threads")]
        // SAFETY: every number of a part is handed out once.
        let (out, beside) = unsafe { (out.part(part), beside.part(part)) };
        work(part * rows, out, beside);
    });
}

/// Hands out parts of several slices, each cut by a length of its own into as many parts as the others.
pub(super) fn by_parts<T: Send, const N: usize>(
    slices: [&mut [T]; N],
    lengths: [usize; N],
    work: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    let mut counts = slices.iter().zip(lengths).map(|(slice, length)| slice.len().div_ceil(length.max(1)));
    let count = counts.next().unwrap_or(0);
    assert!(counts.all(|other| other == count), "the slices have different numbers of parts");
    let mut at = 0;
    let cut = slices.map(|slice| {
        at += 1;
        Cut::new(slice, lengths[at - 1].max(1))
    });
    threads::parts(count, &|part| {
        let parts = cut.each_ref().map(|cut| {
            #[expect(unsafe_code, reason = "parts of a slice on several threads")]
            // SAFETY: every number of a part is handed out once, and parts do not overlap.
            unsafe {
                cut.part(part)
            }
        });
        work(part, parts);
    });
}

/// Hands out columns of all rows: the number of the first column, and so many of them, or what is left.
pub(super) fn by_columns(
    out: &mut [f32],
    width: usize,
    columns: usize,
    work: impl Fn(usize, Columns<'_>) + Sync,
) {
    let rows = out.len() / width.max(1);
    let all = Cut::new(out, columns);
    threads::parts(width.div_ceil(columns), &|part| {
        let first = part * columns;
        let len = columns.min(width - first);
        work(first, Columns { all: &all, rows, width, first, len });
    });
}

/// Some columns of all rows.
pub(super) struct Columns<'a> {
    all: &'a Cut<'a, f32>,
    rows: usize,
    width: usize,
    first: usize,
    len: usize,
}

impl Columns<'_> {
    /// These columns of a row.
    pub(super) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "there is no such row");
        #[expect(unsafe_code, reason = "parts of a slice on several threads")]
        // SAFETY: columns of a row that there is; every part has columns of its own, and gives out those of one row at a time.
        unsafe {
            self.all.range(row * self.width + self.first, self.len)
        }
    }
}

/// A slice in parts, to be handed out to threads.
struct Cut<'a, T> {
    start: *mut T,
    len: usize,
    part: usize,
    slice: PhantomData<&'a mut [T]>,
}

#[expect(unsafe_code, reason = "parts of a slice on several threads")]
// SAFETY: it hands out parts of a slice that may be sent, and nothing else.
unsafe impl<T: Send> Sync for Cut<'_, T> {}

impl<'a, T> Cut<'a, T> {
    fn new(slice: &'a mut [T], part: usize) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), part, slice: PhantomData }
    }

    /// Part number `at`.
    ///
    /// # Safety
    /// Nobody else may have this part.
    #[expect(unsafe_code, reason = "parts of a slice on several threads")]
    unsafe fn part(&self, at: usize) -> &'a mut [T] {
        let first = (at * self.part).min(self.len);
        // SAFETY: within the slice, and nobody else has it, as the caller says.
        unsafe { self.range(first, self.part.min(self.len - first)) }
    }

    /// So many from one on.
    ///
    /// # Safety
    /// They are within the slice, and nobody else has them.
    #[expect(unsafe_code, reason = "parts of a slice on several threads")]
    unsafe fn range(&self, first: usize, len: usize) -> &'a mut [T] {
        // SAFETY: within the slice that this was made of, which is borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}

/// One value for each number below `count`, in their order.
pub(super) fn each<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut all: Vec<Option<T>> = (0..count).map(|_| None).collect();
    by_parts([&mut all], [1], |at, [slot]| slot[0] = Some(work(at)));
    all.into_iter().flatten().collect()
}

/// One value for each part of `0..len`, in the parts' order.
pub(super) fn each_part<T: Send>(len: usize, part: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    each(len.div_ceil(part.max(1)), |at| work(at * part..len.min((at + 1) * part)))
}
