//! A training on several devices: a trainer for each, on a thread of its own. All make the same steps, each from its share of the
//! micro-batches, and so have the same weights to the bit. The first is the one that tells and saves; the others do as it says.
use crate::run::Training;
use crate::side_by_side::side_by_side;
use crate::trainer::{Made, Trainer, failed};
use muse_artifacts::checkpoint::Checkpoint;
use muse_model::kernels::{Member, Ops};
use muse_stage::StageError;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the others do next.
#[derive(Clone, Debug)]
enum Order {
    Step(bool),
    Evaluate,
    Judged(Option<f64>),
    Load(PathBuf),
    GoBack(Option<PathBuf>),
    BeginAnew,
}

/// The trainers of a training.
pub(crate) struct Team<'a, B: Ops> {
    first: Trainer<'a, B>,
    others: Vec<Sender<Order>>,
    /// Why numbers go from device to device by way of the host's memory, where they need not.
    pub(crate) by_way_of_host: Option<String>,
}

impl<'a, B: Ops> Team<'a, B> {
    /// Does something with a trainer on each of the devices. Where one of them fails, that is what comes of it.
    pub(crate) fn with<T>(
        training: Training<'a>,
        devices: Vec<B::Device>,
        threads: usize,
        work: impl FnOnce(&mut Self) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let mut devices = devices.into_iter();
        let Some(device) = devices.next() else {
            return Err(StageError::new("there is no device to train on"));
        };
        let (mut others, mut works) = (Vec::new(), Vec::new());
        for device in devices {
            let (order, orders) = channel();
            others.push(order);
            works.push(move |member: &Member| follow::<B>(training, device, member, orders));
        }
        let first = |member: Option<&Member>| {
            let by_way_of_host =
                member.map_or(Ok(None), |member| B::join(member, &device)).map_err(failed)?;
            let first = Trainer::new(training, device, member.cloned())?;
            work(&mut Self { first, others, by_way_of_host })
        };
        side_by_side(threads, first, works)
    }

    /// The one that tells and saves.
    pub(crate) fn first(&self) -> &Trainer<'a, B> {
        &self.first
    }

    /// [`Trainer::step`] of each.
    pub(crate) fn step(&mut self, on: bool) -> Result<Made, StageError> {
        self.order(&Order::Step(on));
        self.first.step(on)
    }

    /// Evaluates, and notes it.
    pub(crate) fn evaluate(&mut self) -> Result<Option<f64>, StageError> {
        self.order(&Order::Evaluate);
        let loss = self.first.evaluate()?;
        loss.into_iter().for_each(|loss| self.first.evaluated(loss));
        Ok(loss)
    }

    /// Asks the guard, at an evaluation, whether this is a moment to go back to.
    pub(crate) fn judged(&mut self, validation: Option<f64>) {
        self.order(&Order::Judged(validation));
        self.first.judged(validation);
    }

    /// Goes on from a checkpoint.
    pub(crate) fn load(&mut self, from: &Checkpoint) -> Result<(), StageError> {
        self.order(&Order::Load(from.folder().to_owned()));
        self.first.load(from)
    }

    /// Goes back to a checkpoint, or to the start, but keeps the guard, which remembers why.
    pub(crate) fn go_back(&mut self, to: Option<&Checkpoint>) -> Result<(), StageError> {
        self.order(&Order::GoBack(to.map(|to| to.folder().to_owned())));
        self.first.go_back(to)
    }

    /// Back to the start, with nothing remembered.
    pub(crate) fn begin_anew(&mut self) -> Result<(), StageError> {
        self.order(&Order::BeginAnew);
        self.first.begin_anew()
    }

    /// Who does not listen any more has left, and said why: the first finds that out where it meets the others.
    fn order(&self, order: &Order) {
        self.others.iter().for_each(|other| drop(other.send(order.clone())));
    }
}

/// Does what the first says until it says no more.
fn follow<B: Ops>(
    training: Training<'_>,
    device: B::Device,
    member: &Member,
    orders: Receiver<Order>,
) -> Result<(), StageError> {
    B::join(member, &device).map_err(failed)?;
    let mut trainer = Trainer::<B>::new(training, device, Some(member.clone()))?;
    for order in orders {
        match order {
            Order::Step(on) => drop(trainer.step(on)?),
            Order::Evaluate => {
                let loss = trainer.evaluate()?;
                loss.into_iter().for_each(|loss| trainer.evaluated(loss));
            }
            Order::Judged(validation) => trainer.judged(validation),
            Order::Load(from) => trainer.load(&Checkpoint::open(&from)?)?,
            Order::GoBack(to) => {
                let to = to.map(|to| Checkpoint::open(&to)).transpose()?;
                trainer.go_back(to.as_ref())?;
            }
            Order::BeginAnew => trainer.begin_anew()?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
