//! Which of the ways that cuBLASLt suggests a product is made by: the fastest, found once on a machine and kept there for good, since
//! each way rounds differently and the same training shall come to the same bits.
//!
//! Where nothing can be kept nothing is timed, and the library's first suggestion is taken.
use crate::cuda::kept;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// A way, as the library has it.
pub(super) type Way = [u64; 8];

/// So much faster another way must be than the first that is suggested: what is less may be chance.
const BETTER: f32 = 0.98;
/// How often each way is timed, in turns.
const ROUNDS: usize = 3;

/// The choices of this process, which all of its GPUs share.
static CHOICES: OnceLock<Choices> = OnceLock::new();

/// The way for what `key` says: a product, the GPU and the library. `time` says how long a way takes, where it does; it must wait for
/// nothing that another GPU does.
pub(super) fn choose(key: &str, suggested: &[Way], time: impl FnMut(&Way) -> Option<f32>) -> Option<Way> {
    CHOICES.get_or_init(|| Choices::at(kept::place("products"))).choose(key, suggested, time)
}

struct Choices {
    /// None where nothing is kept.
    place: Option<PathBuf>,
    /// Never held for long: a GPU that has a way does not wait for one that looks for another.
    known: Mutex<BTreeMap<String, Way>>,
    /// Held by who looks for a way.
    looks: Mutex<()>,
    /// How often a lock is asked for.
    times: u32,
}

/// How often a lock is asked for, and the time between: three seconds. Without it there is no choice to be made: a GPU that waits for
/// another may be what that one waits for.
const TIMES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(10);

impl Choices {
    fn at(place: Option<PathBuf>) -> Self {
        Self { place, known: Mutex::default(), looks: Mutex::default(), times: TIMES }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Way>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self, key: &str, suggested: &[Way], time: impl FnMut(&Way) -> Option<f32>) -> Option<Way> {
        let first = suggested.first()?;
        let known = || self.known().get(key).copied();
        known().or_else(|| self.look(key, suggested, time)).or_else(known).or(Some(*first))
    }

    /// Looks for a way, and keeps it. None where that cannot be.
    fn look(&self, key: &str, suggested: &[Way], time: impl FnMut(&Way) -> Option<f32>) -> Option<Way> {
        let place = self.place.as_deref()?;
        let _own = taken(self.times, || self.looks.try_lock().ok())?;
        let _others = locked(place, self.times)?;
        // Another process may have found it meanwhile, or another GPU.
        self.known().extend(kept::read(place).iter().flat_map(|bytes| read(bytes)));
        let mut all = self.known().clone();
        if let Some(way) = all.get(key) {
            return Some(*way);
        }
        let way = fastest(suggested, time).unwrap_or(suggested[0]);
        all.insert(key.to_owned(), way);
        kept::write(place, written(&all).as_bytes()).then(|| {
            *self.known() = all;
            way
        })
    }
}

/// Keeps other processes from choosing for as long as it is held.
fn locked(place: &Path, times: u32) -> Option<File> {
    fs::create_dir_all(place.parent()?).ok()?;
    let lock = File::create(place.with_extension("lock")).ok()?;
    taken(times, || lock.try_lock().ok())?;
    Some(lock)
}

/// What is asked for so often, once it can be had.
fn taken<T>(times: u32, mut take: impl FnMut() -> Option<T>) -> Option<T> {
    (0..times).find_map(|time| {
        if time > 0 {
            sleep(PAUSE);
        }
        take()
    })
}

fn fastest(suggested: &[Way], mut time: impl FnMut(&Way) -> Option<f32>) -> Option<Way> {
    let mut best = vec![f32::INFINITY; suggested.len()];
    for _ in 0..ROUNDS {
        for (way, best) in suggested.iter().zip(&mut best) {
            *best = best.min(time(way)?);
        }
    }
    let (least, way) = best.iter().zip(suggested).min_by(|a, b| a.0.total_cmp(b.0))?;
    Some(if *least < BETTER * best[0] { *way } else { suggested[0] })
}

/// A line each: the way, and what for.
fn written(known: &BTreeMap<String, Way>) -> String {
    let mut text = String::new();
    for (key, way) in known {
        for word in way {
            let _ = write!(text, "{word:x} ");
        }
        let _ = writeln!(text, "{key}");
    }
    text
}

fn read(bytes: &[u8]) -> Vec<(String, Way)> {
    let line = |line: &str| {
        let mut words = line.splitn(9, ' ');
        let mut way = Way::default();
        for word in &mut way {
            *word = u64::from_str_radix(words.next()?, 16).ok()?;
        }
        Some((words.next()?.to_owned(), way))
    };
    String::from_utf8_lossy(bytes).lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Way; 3] = [[1; 8], [2; 8], [u64::MAX; 8]];

    /// Chooses where the ways take so long; also says how often one was timed.
    fn chosen(choices: &Choices, key: &str, times: [f32; 3]) -> (Way, usize) {
        let mut timed = 0;
        let way = choices.choose(key, &WAYS, |way| {
            timed += 1;
            Some(times[WAYS.iter().position(|one| one == way)?])
        });
        (way.unwrap(), timed)
    }

    #[test]
    fn the_fastest_way_is_found_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/products");
        let new = || Choices::at(Some(place.clone()));
        let choices = new();
        assert_eq!(chosen(&choices, "one { m: 3 }", [3.0, 2.0, 1.0]), (WAYS[2], 9));
        assert_eq!(chosen(&choices, "one { m: 3 }", [1.0; 3]), (WAYS[2], 0));
        // What is hardly faster is no reason.
        assert_eq!(chosen(&choices, "two", [1.0, 0.99, 1.0]), (WAYS[0], 9));
        let other = new();
        assert_eq!(chosen(&other, "one { m: 3 }", [1.0, 2.0, 3.0]), (WAYS[2], 0));
        assert_eq!(chosen(&other, "three", [2.0, 1.0, 2.0]), (WAYS[1], 9));
        // What the other has found counts for the first, too.
        assert_eq!(chosen(&choices, "three", [1.0, 2.0, 2.0]), (WAYS[1], 0));
        assert_eq!(chosen(&new(), "two", [2.0, 2.0, 1.0]), (WAYS[0], 0));
    }

    #[test]
    fn what_cannot_be_kept_or_timed_is_the_first_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for place in [None, Some(file.join("below a file"))] {
            assert_eq!(chosen(&Choices::at(place), "one", [3.0, 2.0, 1.0]), (WAYS[0], 0));
        }
        let choices = Choices::at(Some(folder.path().join("products")));
        let untimed = choices.choose("one", &WAYS, |way| if *way == WAYS[1] { None } else { Some(1.0) });
        assert_eq!(untimed, Some(WAYS[0]));
        assert_eq!(choices.choose("one", &[], |_| None), None);
        // For good, so that memory which is there the next time changes nothing.
        assert_eq!(chosen(&choices, "one", [3.0, 2.0, 1.0]), (WAYS[0], 0));
    }

    #[test]
    fn nobody_waits_for_long_for_one_who_looks() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("products");
        let choices = Choices { times: 1, ..Choices::at(Some(place.clone())) };
        assert_eq!(chosen(&choices, "known", [3.0, 2.0, 1.0]), (WAYS[2], 9));
        let (own, other) = (choices.looks.lock().unwrap(), locked(&place, 1).unwrap());
        assert_eq!(chosen(&choices, "known", [1.0; 3]), (WAYS[2], 0));
        assert_eq!(chosen(&choices, "new", [3.0, 2.0, 1.0]), (WAYS[0], 0));
        drop(own);
        assert_eq!(chosen(&choices, "new", [3.0, 2.0, 1.0]), (WAYS[0], 0), "another process looks");
        drop(other);
        // It was no choice, so it can be made still.
        assert_eq!(chosen(&choices, "new", [3.0, 2.0, 1.0]), (WAYS[2], 9));
    }

    #[test]
    fn what_is_no_choice_is_passed_over() {
        let known = BTreeMap::from([("a key of words".to_owned(), WAYS[2]), ("other".to_owned(), WAYS[0])]);
        let text = written(&known);
        assert_eq!(read(text.as_bytes()).into_iter().collect::<BTreeMap<_, _>>(), known);
        assert_eq!(read(format!("1 2 3\nx\n{text}").as_bytes()).len(), 2);
    }
}
