//! One way through the model and back: the loss of a batch and the gradient of every weight, block by block.
//!
//! Each block has a tape of its own. With [`Recompute::Block`] only its input is kept, and the tape is made again when the
//! way back comes to it, so memory grows with a block's input instead of all that it keeps.
use crate::buckets::{Buckets, Onto};
use crate::lora::Acting;
use crate::net::{Batch, Block, Setting, Top, embedded};
use burn::backend::Autodiff;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use muse_kernels::{Angles, Objective, Ops, back_from};

/// What is kept of a block on the way forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// All that the way back needs.
    #[default]
    Nothing,
    /// Its input alone.
    Block,
    /// Its input, and that in the memory of the host.
    BlockOffloaded,
}

/// What a pass gives.
pub struct Pass<B: Backend> {
    /// `[1]`: the objective, each token counted by the share.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy, likewise.
    pub plain: Tensor<B, 1>,
    /// The gradient of every weight, flat, in f32, in the order of `Weight::all`; of every factor, where there are factors.
    pub grads: Vec<Tensor<B, 1>>,
    /// Of each block the largest logit of each head, `[heads]`.
    pub peaks: Vec<Tensor<B, 1>>,
    /// The numbers of the gradients by bucket, where several devices put them together: see [`Pass::together`].
    pub buckets: Vec<Vec<usize>>,
}

/// The backend that keeps tapes.
type Taped<B> = Autodiff<B>;
type Grads<B> = <Taped<B> as AutodiffBackend>::Gradients;

/// What is kept of a block.
enum Kept<B: Ops> {
    Tape(Box<Tape<B>>),
    Input(Tensor<B, 2>),
    Away(TensorData),
}

/// A block that was run, with its way back.
struct Tape<B: Ops> {
    block: Block<Taped<B>>,
    input: Tensor<Taped<B>, 2>,
    output: Tensor<Taped<B>, 2>,
}

impl<B: Ops> Tape<B> {
    fn run(block: Block<B>, input: Tensor<B, 2>, run: &Run<'_, B>, at: usize) -> (Self, Tensor<B, 1>) {
        let block = block.train::<Taped<B>>().map(&mut Leaves { at: 0, learns: &run.learns });
        let input = leaf(input);
        let (output, peak) = block.forward(input.clone(), &run.batch, &run.setting, at);
        (Self { block, input, output }, peak.inner())
    }
}

/// Which weights of a block gradients are wanted for.
enum Learns {
    All,
    /// Those with these numbers.
    Some(Vec<usize>),
}

impl Learns {
    fn wants(&self, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(places) => places.contains(&at),
        }
    }
}

/// Makes weights of a block ones that gradients are wanted for, or not.
struct Leaves<'a> {
    at: usize,
    learns: &'a Learns,
}

impl<B: Backend> ModuleMapper<B> for Leaves<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        self.at += 1;
        param.set_require_grad(self.learns.wants(self.at - 1))
    }
}

/// A batch and its setting, as tapes want them.
struct Run<'a, B: Ops> {
    batch: Batch<Taped<B>>,
    setting: Setting<Taped<B>>,
    learns: Learns,
    below: (&'a Batch<B>, &'a Setting<B>),
}

fn leaf<B: Ops, const D: usize>(x: Tensor<B, D>) -> Tensor<Taped<B>, D> {
    Tensor::from_inner(x).require_grad()
}

/// Takes a gradient out, in f32 and flat. What nothing flowed back to has none to speak of.
fn taken<B: Ops, const D: usize>(x: &Tensor<Taped<B>, D>, grads: &mut Grads<B>) -> Tensor<B, 1> {
    let len = x.shape().num_elements();
    match x.grad_remove(grads) {
        Some(grad) if grad.dtype() == DType::F32 => grad.reshape([len]),
        Some(grad) => grad.cast(DType::F32).reshape([len]),
        None => Tensor::zeros([len], (&x.device(), DType::F32)),
    }
}

/// The loss of a batch and the gradients of all weights. Each token with a label counts `share`. Where there are gradients of
/// other batches, those of this one are added to them as they come, and never all there beside them. With factors beside
/// the net there are gradients of these alone. For a group that puts them together, buckets are noted as they are made.
pub fn pass<'a, B: Ops>(
    net: impl Into<Acting<'a, B>>,
    batch: &Batch<B>,
    setting: &Setting<B>,
    objective: &Objective,
    share: f64,
    recompute: Recompute,
    onto: Onto<'_, B>,
) -> Pass<B> {
    let acting = net.into();
    let Acting { net, lora } = acting;
    let mut sums = Sums::new(&acting, onto);
    let run = Run {
        batch: taped_batch(batch),
        setting: taped_setting(setting),
        learns: lora.map_or(Learns::All, |lora| Learns::Some(lora.places())),
        below: (batch, setting),
    };
    let (state, kept, peaks) = forward(&acting, &run, recompute);

    // From the loss down to the last block.
    let ((norm, norm_eps), state) = (net.norm(), leaf(state));
    let top = Top { norm: leaf(norm), head: leaf(net.head_weight()), norm_eps };
    let made = top.loss(state.clone(), &run.batch, objective, share, true);
    let (loss, plain) = (made.loss.clone().inner(), made.plain.inner());
    let mut back = made.loss.backward();
    let mut grad = state.grad_remove(&mut back).expect("the loss comes from the last block's output");
    if lora.is_none() {
        sums.add_top(taken(&top.norm, &mut back), taken(&top.head, &mut back));
    }
    drop((back, top, state));

    // From block to block.
    for (at, kept) in kept.into_iter().enumerate().rev() {
        let device = grad.device();
        let again = |input| Tape::run(acting.block(at), input, &run, at).0;
        let tape = match kept {
            Kept::Tape(tape) => *tape,
            Kept::Input(input) => again(input),
            Kept::Away(data) => {
                let dtype = data.dtype;
                again(Tensor::from_data(data, (&device, dtype)))
            }
        };
        let mut back = back_from(tape.output, grad);
        grad = tape.input.grad_remove(&mut back).expect("a block's output comes from its input");
        let grads = tape.block.gradients(&mut back, &run.learns);
        match lora {
            None => sums.add_all(1 + at * grads.len(), grads),
            Some(lora) => {
                let grads = lora.gradients(at, grads);
                sums.add_all(at * grads.len(), grads);
            }
        }
    }
    if lora.is_some() {
        let (grads, buckets) = sums.all();
        return Pass { loss, plain, grads, peaks, buckets };
    }

    // From the first block to the embedding.
    let embedding = leaf(net.embedding());
    let mut back = back_from(embedded(embedding.clone(), &run.batch, &run.setting), grad);
    sums.add_embedding(taken(&embedding, &mut back));
    let (grads, buckets) = sums.all();
    Pass { loss, plain, grads, peaks, buckets }
}

type Forward<B> = (Tensor<B, 2>, Vec<Kept<B>>, Vec<Tensor<B, 1>>);

fn forward<B: Ops>(acting: &Acting<'_, B>, run: &Run<'_, B>, recompute: Recompute) -> Forward<B> {
    let (batch, setting) = run.below;
    let mut state = acting.net.embedded(batch, setting);
    let (mut kept, mut peaks) = (Vec::new(), Vec::new());
    for at in 0..acting.net.blocks().len() {
        let block = acting.block(at);
        if recompute == Recompute::Nothing {
            let (tape, peak) = Tape::run(block, state, run, at);
            state = tape.output.clone().inner();
            kept.push(Kept::Tape(Box::new(tape)));
            peaks.push(peak);
            continue;
        }
        kept.push(match recompute {
            Recompute::BlockOffloaded => Kept::Away(state.to_data()),
            _ => Kept::Input(state.clone()),
        });
        let (next, peak) = block.forward(state, batch, setting, at);
        state = next;
        peaks.push(peak);
    }
    (state, kept, peaks)
}

fn taped_batch<B: Ops>(batch: &Batch<B>) -> Batch<Taped<B>> {
    Batch {
        ids: Tensor::from_inner(batch.ids.clone()),
        labels: Tensor::from_inner(batch.labels.clone()),
        positions: Tensor::from_inner(batch.positions.clone()),
        starts: Tensor::from_inner(batch.starts.clone()),
    }
}

fn taped_setting<B: Ops>(setting: &Setting<B>) -> Setting<Taped<B>> {
    let angles = Angles {
        cos: Tensor::from_inner(setting.angles.cos.clone()),
        sin: Tensor::from_inner(setting.angles.sin.clone()),
    };
    Setting { angles, dtype: setting.dtype, dropped: setting.dropped }
}

/// Collects a module's gradients in its weights' order.
struct Collect<'a, B: Ops> {
    at: usize,
    learns: &'a Learns,
    grads: &'a mut Grads<B>,
    all: Vec<Tensor<B, 1>>,
}

impl<B: Ops> ModuleVisitor<Taped<B>> for Collect<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Taped<B>, D>>) {
        if self.learns.wants(self.at) {
            self.all.push(taken(&param.val(), self.grads));
        }
        self.at += 1;
    }
}

impl<B: Ops> Block<Taped<B>> {
    fn gradients(&self, grads: &mut Grads<B>, learns: &Learns) -> Vec<Tensor<B, 1>> {
        let mut collect = Collect { at: 0, learns, grads, all: Vec::new() };
        self.visit(&mut collect);
        collect.all
    }
}

/// Gradients in the order of the weights or factors, each added to what is there already.
struct Sums<'a, B: Ops> {
    sums: Vec<Option<Tensor<B, 1>>>,
    tied: bool,
    buckets: Buckets<'a>,
}

impl<'a, B: Ops> Sums<'a, B> {
    fn new(acting: &Acting<'_, B>, Onto { so_far, member }: Onto<'a, B>) -> Self {
        let net = acting.net;
        let count = acting.lora.map_or_else(|| net.flat().len(), |lora| lora.names().len());
        let sums = so_far.map_or_else(|| vec![None; count], |sums| sums.into_iter().map(Some).collect());
        Self { sums, tied: net.tied(), buckets: Buckets::new(member) }
    }

    /// Adds what is not the last that is added there.
    fn add_some(&mut self, at: usize, grad: Tensor<B, 1>) {
        let sum = self.sums[at].take();
        self.sums[at] = Some(match sum {
            Some(sum) => sum + grad,
            None => grad,
        });
    }

    fn add(&mut self, at: usize, grad: Tensor<B, 1>) {
        self.add_some(at, grad);
        if let Some(sum) = self.sums[at].take() {
            self.sums[at] = Some(self.buckets.whole(at, sum));
        }
    }

    fn add_embedding(&mut self, grad: Tensor<B, 1>) {
        self.add(0, grad);
    }

    /// Those from number `first` on.
    fn add_all(&mut self, first: usize, grads: Vec<Tensor<B, 1>>) {
        grads.into_iter().zip(first..).for_each(|(grad, at)| self.add(at, grad));
    }

    /// Those of the last norm and of the head, which may be the embedding.
    fn add_top(&mut self, norm: Tensor<B, 1>, head: Tensor<B, 1>) {
        let count = self.sums.len();
        if self.tied {
            self.add(count - 1, norm);
            self.add_some(0, head);
        } else {
            self.add(count - 2, norm);
            self.add(count - 1, head);
        }
    }

    /// All, and which stand in which bucket.
    fn all(self) -> (Vec<Tensor<B, 1>>, Vec<Vec<usize>>) {
        let sums = self.sums.into_iter().map(|sum| sum.expect("every weight has a gradient")).collect();
        (sums, self.buckets.all())
    }
}
