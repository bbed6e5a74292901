//! Attention in bf16, and its way back, by tensor cores.
use super::kernel::{Defines, Kernel, Source, Words};
use super::tensor::Numbers;
use crate::ops::{Attended, Sight};
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::cuda::CudaRuntime;
use cubecl::prelude::ComputeClient;
use cubecl::server::Binding;

macro_rules! source {
    ($($file:literal),+) => { &[$(include_str!(concat!("source/attention/", $file, ".cu"))),+] };
}

/// Both ways of a kernel: for any GPU from compute capability 8.0 on, and for 9.0, whose tensor cores work for four warps at once.
const ATTEND: [Source; 2] = [source!("common", "attend"), source!("common", "hopper", "hopper_attend")];
const ROWS: Source = source!("common", "back_rows");
const QUERY: [Source; 2] =
    [source!("common", "back_query"), source!("common", "hopper", "hopper_back_query")];
const KEY: [Source; 2] = [source!("common", "back_key"), source!("common", "hopper", "hopper_back_key")];

/// Bytes of keys and values that are gone through at once, so that they stay in the cache.
const NEAR: usize = 16 << 20;

/// Sizes of a call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    tokens: usize,
    heads: usize,
    kv: usize,
    width: usize,
    scale: f64,
    /// Whether it is done in the way of compute capability 9.0.
    hopper: bool,
}

impl Sizes {
    /// None where no kernel does it.
    fn of(x: &Tensor<Cuda, 4>, heads: usize, sight: &Sight<Cuda>, gpu: (i32, i32)) -> Option<Self> {
        let [batch, tokens, all, width] = x.dims();
        let kv = all.checked_sub(heads)? / 2;
        let fits = x.dtype() == DType::BF16
            && all == heads + 2 * kv
            && sight.starts.dims() == [batch, tokens]
            && sight.starts.dtype() == DType::I32
            && batch * tokens * kv > 0
            && heads.is_multiple_of(kv)
            && (16..=256).contains(&width)
            && width.is_multiple_of(16)
            && sight.scale > 0.0
            && !sight.dropped.any();
        let hopper = gpu == (9, 0) && (width == 64 || width == 128);
        let scale = sight.scale;
        (fits && gpu >= (8, 0)).then_some(Self { batch, tokens, heads, kv, width, scale, hopper })
    }

    /// Which of four classes of widths it is in: numbers for each were found by trying.
    fn class(&self) -> usize {
        [64, 128, 240].iter().position(|most| self.width <= *most).unwrap_or(3)
    }

    fn defines(&self, more: &[(&'static str, usize)]) -> Defines {
        let mut all = vec![("HEAD", self.width), ("GROUP", self.heads / self.kv)];
        all.extend(more);
        all
    }

    /// What all kernels are given; a section is how many heads are gone through at once.
    fn words(&self, of: usize) -> Words {
        let section = NEAR / (self.tokens * self.width * 4);
        Words::default()
            .int(self.batch)
            .int(self.tokens)
            .int(self.heads)
            .int(section.clamp(1, of))
            .float(self.scale)
            .int(self.all() * self.width)
    }

    /// Heads that lie side by side: queries, keys, values.
    fn all(&self) -> usize {
        self.heads + 2 * self.kv
    }

    /// Where queries, keys and values of such a tensor begin.
    fn parts(&self, x: &Numbers) -> [Binding; 3] {
        let from = |first: usize| x.part(first, x.len() - first).at();
        [0, self.heads, self.heads + self.kv].map(|head| from(head * self.width))
    }

    /// Bytes of a row in shared memory. In the way for any GPU rows lie apart.
    fn row(&self) -> usize {
        2 * if self.hopper { self.width } else { self.width + 8 }
    }

    /// Starts a kernel of a block for so many rows of each head; `of` is how many heads there are in all.
    fn start(
        &self,
        (entry, sources): (&'static str, [Source; 2]),
        defines: &[(&'static str, usize)],
        (rows, slices, of): (usize, usize, usize),
        shared: usize,
        client: &ComputeClient<CudaRuntime>,
        buffers: Vec<Binding>,
    ) {
        let threads = if self.hopper { 128 } else { WARPS * 32 };
        let source = sources[usize::from(self.hopper)];
        let kernel = Kernel::of(entry, source, self.defines(defines), threads as u32, shared);
        let blocks = of * self.tokens.div_ceil(rows) * slices;
        kernel.start(client, [blocks, 1, 1], buffers, self.words(of));
    }
}

/// Warps of a block in the way for any GPU.
const WARPS: usize = 4;

/// What a GPU can do. None where there is none.
fn gpu(x: &Tensor<Cuda, 4>) -> Option<(i32, i32)> {
    super::capability(x.device().index)
}

pub(crate) fn attend(x: &Tensor<Cuda, 4>, heads: usize, sight: &Sight<Cuda>) -> Option<Attended<Cuda>> {
    let sizes = Sizes::of(x, heads, sight, gpu(x)?)?;
    let Sizes { batch, tokens, width, .. } = sizes;
    let device = x.device();
    let x = Numbers::of(x.clone());
    let starts = Numbers::of_ints(sight.starts.clone());
    let output = Numbers::room(&x, [batch, tokens, heads, width], DType::BF16);
    let lse = Numbers::room(&x, [batch, heads, tokens], DType::F32);
    // The largest logit so far.
    let peak = Numbers::of(Tensor::<Cuda, 1>::full([heads], f32::NEG_INFINITY, (&device, DType::F32)));
    let row = sizes.row();
    let (rows, shared, defines) = if sizes.hopper {
        let keys = 64;
        // KEEP would hold queries in registers, which compilers have got wrong.
        let blocks = if width == 64 { 4 } else { 2 };
        (64, (64 + 4 * keys) * row, vec![("KEYS", keys), ("KEEP", 0), ("BLOCKS", blocks)])
    } else {
        let (bands, keys, keep, blocks) =
            [(2, 64, 1, 2), (2, 32, 0, 2), (1, 32, 0, 1), (1, 16, 0, 1)][sizes.class()];
        let rows = WARPS * bands * 16;
        let defines =
            vec![("WARPS", WARPS), ("BANDS", bands), ("KEYS", keys), ("KEEP", keep), ("BLOCKS", blocks)];
        (rows, (rows + 4 * keys) * row, defines)
    };
    let mut buffers = sizes.parts(&x).to_vec();
    buffers.extend([&starts, &output, &lse, &peak].map(Numbers::at));
    sizes.start(("attend", ATTEND), &defines, (rows, 1, batch * heads), shared, x.client(), buffers);
    Some(Attended { output: output.tensor(), lse: lse.tensor(), peak: peak.tensor() })
}

pub(crate) fn attend_back(
    x: &Tensor<Cuda, 4>,
    sight: &Sight<Cuda>,
    attended: &Attended<Cuda>,
    grad: &Tensor<Cuda, 4>,
) -> Option<Tensor<Cuda, 4>> {
    let [_, _, heads, _] = grad.dims();
    let sizes = Sizes::of(x, heads, sight, gpu(grad)?)?;
    let Sizes { batch, tokens, kv, width, .. } = sizes;
    let alike = |x: &Tensor<Cuda, 4>| x.dtype() == DType::BF16 && x.dims() == [batch, tokens, heads, width];
    let lse = &attended.lse;
    let fits = lse.dtype() == DType::F32 && lse.dims() == [batch, heads, tokens];
    if !fits || !alike(grad) || !alike(&attended.output) {
        return None;
    }
    let x = Numbers::of(x.clone());
    let (grad, output) = (Numbers::of(grad.clone()), Numbers::of(attended.output.clone()));
    let lse = Numbers::of(attended.lse.clone());
    let starts = Numbers::of_ints(sight.starts.clone());
    let of_x = Numbers::room(&x, [batch, tokens, sizes.all(), width], DType::BF16);
    let [of_query, of_key, of_value] = sizes.parts(&of_x);
    let given = || sizes.parts(&x).into_iter().chain([&grad, &starts].map(Numbers::at));
    let row = sizes.row();

    // Of a step of queries: where what they see begins. Of each query: what the kernels behind ask for more than once.
    let class = sizes.class();
    let step = if sizes.hopper { 64 } else { [32, 32, 16, 16][class] };
    let rows = Numbers::room(&x, [batch * heads * tokens, 2], DType::F32);
    let bounds = Numbers::room(&x, [batch * tokens.div_ceil(step), 2], DType::I32);
    let first = Kernel::of("attend_back_rows", ROWS, sizes.defines(&[("STEP", step)]), 256, 0);
    let places = [&output, &grad, &lse, &starts, &rows, &bounds].map(Numbers::at).to_vec();
    let blocks = batch * tokens.div_ceil(step);
    first.start(x.client(), [blocks, 1, 1], places, sizes.words(batch * heads));

    let (own, shared, defines) = if sizes.hopper {
        let keys = 64;
        let blocks = if width == 64 { 3 } else { 2 };
        (64, (128 + 5 * keys) * row, vec![("KEYS", keys), ("KEEP", 0), ("BLOCKS", blocks)])
    } else {
        let (bands, keys, keep, blocks, turns) =
            [(2, 32, 1, 2, 2), (1, 32, 1, 2, 2), (1, 16, 0, 1, 1), (1, 16, 0, 1, 1)][class];
        let own = WARPS * bands * 16;
        let defines = vec![
            ("WARPS", WARPS),
            ("BANDS", bands),
            ("KEYS", keys),
            ("KEEP", keep),
            ("BLOCKS", blocks),
            ("TURNS", turns),
        ];
        (own, (2 * own + 2 * turns * keys) * row, defines)
    };
    let buffers = given().chain([rows.at(), of_query]).collect();
    let count = (own, 1, batch * heads);
    sizes.start(("attend_back_query", QUERY), &defines, count, shared, x.client(), buffers);

    // Numbers of a step that lie beside its rows.
    let beside = 12 * step + 16;
    let (own, slices, shared, defines) = if sizes.hopper {
        let blocks = if width == 64 { 3 } else { 2 };
        let shared = 128 * row + 2 * (2 * step * row + beside);
        (64, 1, shared, vec![("STEP", step), ("BLOCKS", blocks)])
    } else {
        let (bands, keep, blocks, turns) = [(2, 0, 2, 2), (1, 0, 2, 2), (1, 0, 1, 1), (1, 0, 1, 1)][class];
        let own = WARPS * bands * 16;
        let slices = width.div_ceil(128);
        let slice = (width / 16).div_ceil(slices) * 16;
        let defines = vec![
            ("WARPS", WARPS),
            ("BANDS", bands),
            ("STEP", step),
            ("KEEP", keep),
            ("BLOCKS", blocks),
            ("TURNS", turns),
            ("SLICE", slice),
        ];
        let shared = 2 * own * row + turns * (2 * step * row + beside);
        (own, width.div_ceil(slice), shared, defines)
    };
    let buffers = given().chain([rows.at(), bounds.at(), of_key, of_value]).collect();
    let count = (own, slices, batch * kv);
    sizes.start(("attend_back_key", KEY), &defines, count, shared, x.client(), buffers);
    Some(of_x.tensor())
}
