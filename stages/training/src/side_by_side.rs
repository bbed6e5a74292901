//! Work on several devices at once, a thread for each: when one fails, all end, and that is what comes of it.
use crate::trainer::failed;
use muse_model::kernels::{DeviceError, Member, gpu_failure, with_threads};
use muse_stage::StageError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Does the first work in this thread, and the others in threads of their own. Alone it is no member of anything.
pub(crate) fn side_by_side<T>(
    threads: usize,
    first: impl FnOnce(Option<&Member>) -> Result<T, StageError>,
    others: Vec<impl FnOnce(&Member) -> Result<(), StageError> + Send>,
) -> Result<T, StageError> {
    let mut members = Member::all(1 + others.len());
    let member = members.remove(0);
    if others.is_empty() {
        return first(None);
    }
    thread::scope(|scope| {
        // However this ends, the others do too.
        let _end = End(&member);
        for (member, other) in members.into_iter().zip(others) {
            let name = format!("muse-device-{}", member.rank());
            let work = move || with_threads(threads, || beside(&member, other));
            let started = thread::Builder::new().name(name).spawn_scoped(scope, work);
            started.map_err(|error| StageError::new(format!("no thread for a device: {error}")))?;
        }
        match (first(Some(&member)), member.over()) {
            // What another failed with made this one fail.
            (Err(StageError::Failed { .. }), Some(over)) => Err(failed(over)),
            (done, _) => done,
        }
    })
}

/// Does the work of one of the others, and tells all where it fails.
fn beside(member: &Member, work: impl FnOnce(&Member) -> Result<(), StageError>) {
    let why = match catch_unwind(AssertUnwindSafe(|| work(member))) {
        Ok(Ok(())) => return,
        Ok(Err(StageError::Failed { message, help })) => DeviceError { message, help },
        Ok(Err(error)) => DeviceError { message: error.to_string(), help: None },
        Err(panic) => gpu_failure().unwrap_or_else(|| {
            let message = format!("device {} failed: {}", member.rank(), said(&*panic));
            DeviceError { message, help: None }
        }),
    };
    member.leave(why);
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say how")
}

/// Ends a group when it goes, also by a panic.
struct End<'a>(&'a Member);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.leave(DeviceError { message: "the first of the group has ended".into(), help: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Work = fn(&Member) -> Result<(), StageError>;

    fn meet(member: &Member) -> Result<(), StageError> {
        loop {
            member.meet(()).map_err(failed)?;
        }
    }

    fn message(done: Result<(), StageError>) -> String {
        let Err(StageError::Failed { message, .. }) = done else { panic!("{done:?}") };
        message
    }

    #[test]
    fn one_that_fails_ends_all() {
        let fails: Work = |member| {
            member.meet(()).map_err(failed)?;
            Err(StageError::new("no memory"))
        };
        let panics: Work = |_| panic!("on purpose");
        let first = |member: Option<&Member>| meet(member.unwrap());
        assert_eq!(message(side_by_side(1, first, vec![meet, fails, meet])), "no memory");
        assert_eq!(message(side_by_side(1, first, vec![meet, panics])), "device 2 failed: on purpose");
    }

    #[test]
    fn the_first_ends_the_others() {
        let fails = |_: Option<&Member>| Err::<(), _>(StageError::new("no data"));
        assert_eq!(message(side_by_side(1, fails, vec![meet, meet])), "no data");
        assert_eq!(side_by_side(1, |_| Ok(7), vec![meet]).unwrap(), 7);
        assert!(side_by_side(1, |_| Err::<(), _>(StageError::Interrupted), vec![meet]).is_err());
        let panics = || side_by_side(1, |_| -> Result<(), StageError> { panic!("on purpose") }, vec![meet]);
        assert!(catch_unwind(panics).is_err());
        assert!(side_by_side(1, |member| Ok(member.is_none()), Vec::<Work>::new()).unwrap());
    }
}
