//! Several threads that work on one thing, each with a device of its own: how they meet, and how all end when one fails.
use crate::decode::{DeviceError, DeviceResult};
use burn::prelude::*;
use std::any::Any;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One of the threads of a group.
#[derive(Clone)]
pub struct Member {
    rank: usize,
    group: Arc<Group>,
}

/// Tensors in f32 that the members of a group put together: each comes with as many, of the same sizes.
pub struct Bucket<B: Backend> {
    /// What this member brings.
    pub tensors: Vec<Tensor<B, 1>>,
    /// How they are put together.
    pub by: By,
}

/// How numbers of several members become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// They are added up.
    Sum,
    /// The largest of them.
    Largest,
}

struct Group {
    count: usize,
    table: Mutex<Table>,
    moved: Condvar,
    /// Numbers go from device to device.
    linked: AtomicBool,
}

/// What members put down when they meet.
struct Table {
    /// How often all met.
    round: u64,
    brought: Vec<Option<Box<dyn Any + Send>>>,
    /// What all brought the last time. It stays until all were here once more, so each finds it.
    given: Option<Arc<dyn Any + Send + Sync>>,
    /// Why there is no group any more.
    over: Option<DeviceError>,
    at_end: Vec<AtEnd>,
}

/// Begins something, and gives what waits until it is done.
type AtEnd = Box<dyn FnOnce() -> Box<dyn FnOnce()> + Send>;

impl Member {
    /// A group of so many, in their order.
    pub fn all(count: usize) -> Vec<Self> {
        let table = Table {
            round: 0,
            brought: (0..count).map(|_| None).collect(),
            given: None,
            over: None,
            at_end: Vec::new(),
        };
        let group =
            Group { count, table: Mutex::new(table), moved: Condvar::new(), linked: AtomicBool::new(false) };
        let group = Arc::new(group);
        (0..count).map(|rank| Self { rank, group: Arc::clone(&group) }).collect()
    }

    /// Which one this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.group.count
    }

    /// Waits until all are here, each with something, and gives what all brought, in their order. All must meet for the same.
    pub fn meet<T: Send + Sync + 'static>(&self, brings: T) -> DeviceResult<Arc<Vec<T>>> {
        let mut table = self.table();
        if let Some(over) = &table.over {
            return Err(over.clone());
        }
        let round = table.round;
        table.brought[self.rank] = Some(Box::new(brings));
        if table.brought.iter().all(Option::is_some) {
            let brought = table.brought.iter_mut().filter_map(Option::take);
            let all: Vec<T> = brought.filter_map(|one| one.downcast().ok()).map(|one| *one).collect();
            table.given = Some(Arc::new(all));
            table.round += 1;
            self.group.moved.notify_all();
        }
        while table.round == round {
            if let Some(over) = &table.over {
                return Err(over.clone());
            }
            table = self.group.moved.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
        let given = table.given.clone().and_then(|given| given.downcast::<Vec<T>>().ok());
        given.filter(|given| given.len() == self.count()).ok_or_else(|| DeviceError {
            message: "the threads of a group met for different things".into(),
            help: None,
        })
    }

    /// Ends the group: nobody waits for this one any more, and whoever waits or comes to meet is told why. The first reason
    /// counts.
    pub fn leave(&self, why: DeviceError) {
        let mut table = self.table();
        table.over.get_or_insert(why);
        let at_end = mem::take(&mut table.at_end);
        drop(table);
        self.group.moved.notify_all();
        // Each may wait for what the others do.
        let begun: Vec<_> = at_end.into_iter().map(|act| act()).collect();
        begun.into_iter().for_each(|wait| wait());
    }

    /// Why there is no group any more, if there is none.
    pub fn over(&self) -> Option<DeviceError> {
        self.table().over.clone()
    }

    /// Something to do when the group ends: it begins that, and gives what waits until it is done.
    pub(crate) fn at_end(&self, act: impl FnOnce() -> Box<dyn FnOnce()> + Send + 'static) {
        let mut table = self.table();
        if table.over.is_none() {
            table.at_end.push(Box::new(act));
            return;
        }
        drop(table);
        act()();
    }

    /// Whether numbers go from device to device.
    pub(crate) fn linked(&self) -> bool {
        self.group.linked.load(Ordering::Relaxed)
    }

    /// From here on they do.
    pub(crate) fn link(&self) {
        self.group.linked.store(true, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.group.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn why(message: &str) -> DeviceError {
        DeviceError { message: message.into(), help: None }
    }

    /// What each member of a group gives.
    fn each<T: Send>(count: usize, work: impl Fn(&Member) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let start = |member: Member| {
                let work = &work;
                scope.spawn(move || work(&member))
            };
            let threads: Vec<_> = Member::all(count).into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_get_what_all_brought_each_time() {
        let sums = each(3, |member| {
            let round = |number: usize| -> usize {
                // Of another kind each time.
                let words = member.meet(format!("{number}")).unwrap();
                assert!(words.iter().all(|word| *word == format!("{number}")));
                let all = member.meet((member.rank(), number)).unwrap();
                assert_eq!(*all, [(0, number), (1, number), (2, number)]);
                number
            };
            (0..200).map(round).sum::<usize>()
        });
        assert_eq!(sums, [19_900; 3]);
    }

    #[test]
    fn nobody_waits_for_one_that_left() {
        let ended = Arc::new(AtomicBool::new(false));
        let told = each(3, |member| {
            if member.rank() == 1 {
                let ended = Arc::clone(&ended);
                member.at_end(move || Box::new(move || ended.store(true, Ordering::SeqCst)));
                member.leave(why("no memory"));
                member.leave(why("another"));
            }
            member.meet(member.rank()).unwrap_err()
        });
        assert_eq!(told, [why("no memory"), why("no memory"), why("no memory")]);
        assert!(ended.load(Ordering::SeqCst));
    }

    #[test]
    fn who_meets_for_something_else_is_told() {
        let told = each(2, |member| match member.rank() {
            0 => member.meet(1_u8).is_err(),
            _ => member.meet("one").is_err(),
        });
        assert_eq!(told, [true, true]);
    }
}
