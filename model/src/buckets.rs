//! Gradients as several devices put them together: in buckets, in the order in which they are whole, while the way back goes on.
use crate::pass::Pass;
use burn::prelude::*;
use muse_kernels::{Bucket, By, DeviceResult, Member, Ops};

/// A bucket holds so many numbers at least: enough for the ways between devices to be used well, few enough for many buckets.
const NUMBERS: usize = 8 << 20;

/// What a pass adds its gradients to, and who puts the sums together once it is through.
pub struct Onto<'a, B: Backend> {
    /// The gradients of other batches.
    pub so_far: Option<Vec<Tensor<B, 1>>>,
    /// The group of this device, where this is its last batch of a step.
    pub member: Option<&'a Member>,
}

impl<B: Backend> Onto<'_, B> {
    /// Gradients are those of the batch, and stay here.
    pub fn nothing() -> Self {
        Self { so_far: None, member: None }
    }
}

/// Which gradients stand in which bucket.
pub(crate) struct Buckets<'a> {
    member: Option<&'a Member>,
    all: Vec<Vec<usize>>,
    open: Vec<usize>,
    numbers: usize,
}

impl<'a> Buckets<'a> {
    pub(crate) fn new(member: Option<&'a Member>) -> Self {
        Self { member, all: Vec::new(), open: Vec::new(), numbers: 0 }
    }

    /// Nothing is added any more to the gradient with this number, which comes back with memory of its own: several may be parts of
    /// one, and the others' sums are written over it.
    pub(crate) fn whole<B: Ops>(&mut self, at: usize, grad: Tensor<B, 1>) -> Tensor<B, 1> {
        let Some(member) = self.member else { return grad };
        let grad = B::owned(grad);
        self.open.push(at);
        self.numbers += grad.dims()[0];
        if self.numbers >= NUMBERS {
            B::made(member, self.all.len(), &grad.device());
            self.all.push(std::mem::take(&mut self.open));
            self.numbers = 0;
        }
        grad
    }

    /// The numbers of the gradients in each. The last one is made when all is.
    pub(crate) fn all(mut self) -> Vec<Vec<usize>> {
        if !self.open.is_empty() {
            self.all.push(self.open);
        }
        self.all
    }
}

impl<B: Ops> Pass<B> {
    /// What the passes of all members come to: each hands in what its own came to in all.
    pub fn together(self, member: &Member) -> DeviceResult<Self> {
        let Self { loss, plain, grads, peaks, buckets } = self;
        let mut places: Vec<_> = grads.into_iter().map(Some).collect();
        let mut brought: Vec<Bucket<B>> = Vec::with_capacity(buckets.len() + 2);
        for bucket in &buckets {
            let tensors = bucket.iter().filter_map(|at| places[*at].take()).collect();
            brought.push(Bucket { tensors, by: By::Sum });
        }
        brought.push(Bucket { tensors: vec![loss, plain], by: By::Sum });
        brought.push(Bucket { tensors: peaks, by: By::Largest });
        let mut all = B::together(member, brought)?.into_iter();
        for (bucket, sums) in buckets.iter().zip(all.by_ref()) {
            bucket.iter().zip(sums).for_each(|(at, sum)| places[*at] = Some(sum));
        }
        let mut losses = all.next().unwrap_or_default().into_iter();
        let mut next = || losses.next().expect("as many come back as were brought");
        Ok(Self {
            loss: next(),
            plain: next(),
            grads: places.into_iter().flatten().collect(),
            peaks: all.next().unwrap_or_default(),
            buckets,
        })
    }
}
