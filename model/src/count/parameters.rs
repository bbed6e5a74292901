//! How many parameters a model has, part by part.
use crate::config::Shape;
use crate::net::{Role, Weight};
use serde::Serialize;

/// The parameters of a model by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// A row for each token, or what rows are made of.
    pub embedding: u64,
    /// The matrices of attention and of other mixers, in all blocks.
    pub attention: u64,
    /// SwiGLU, in all blocks, and what experts are chosen by.
    pub mlp: u64,
    /// Those of experts, among these, that one token does not go through.
    #[serde(skip_serializing_if = "is_nothing")]
    pub idle: u64,
    /// All norms, those of queries and keys too, and other rows of a few numbers.
    pub norms: u64,
    /// From the last block to logits. Nothing where it is the embedding.
    pub head: u64,
}

impl Parameters {
    /// Those of a model of this shape.
    pub fn of(shape: &Shape) -> Self {
        let table: u64 = tables(shape).into_iter().sum();
        let mut all = Self {
            embedding: table,
            attention: 0,
            mlp: 0,
            idle: 0,
            norms: (shape.width + if shape.head_bias { shape.vocab_size } else { 0 }) as u64,
            head: if shape.tied { 0 } else { table },
        };
        for (at, blocks) in shape.kinds() {
            let block = Self::of_block(shape, at);
            all.attention += blocks * block.attention;
            all.mlp += blocks * block.mlp;
            all.idle += blocks * block.idle;
            all.norms += blocks * block.norms;
        }
        all
    }

    /// Those of block number `at`.
    fn of_block(shape: &Shape, at: usize) -> Self {
        let mut all = Self { embedding: 0, attention: 0, mlp: 0, idle: 0, norms: 0, head: 0 };
        let mut of_experts = 0;
        for weight in Weight::of_block(shape, at) {
            let part = match weight.role {
                Role::Norm | Role::Loads => &mut all.norms,
                _ if weight.name.contains(".mlp.") => &mut all.mlp,
                _ => &mut all.attention,
            };
            let numbers = weight.shape.iter().map(|side| *side as u64).product::<u64>();
            *part += numbers;
            of_experts += if weight.name.contains(".experts.") { numbers } else { 0 };
        }
        if let Some(experts) = shape.experts_of(at) {
            let (count, chosen) = (experts.count as u64, experts.chosen as u64);
            all.idle = of_experts / count * (count - chosen);
        }
        all
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.embedding + self.attention + self.mlp + self.norms + self.head
    }

    /// Those that one token goes through.
    pub fn active(&self) -> u64 {
        self.total() - self.idle
    }

    /// Those of the table that logits are made by: the head, or the embedding that is the head too.
    pub fn of_logits(&self) -> u64 {
        if self.head == 0 { self.embedding } else { self.head }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for one")]
fn is_nothing(numbers: &u64) -> bool {
    *numbers == 0
}

/// The numbers of the tensors that the rows for tokens are, or are made of.
pub(super) fn tables(shape: &Shape) -> Vec<u64> {
    let Some(embedding) = shape.embedding else { return vec![(shape.vocab_size * shape.width) as u64] };
    let cores = embedding.cores(shape.vocab_size, shape.width).map(|[rows, width]| (rows * width) as u64);
    cores.into_iter().chain([embedding.tensor_train as u64]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Embedding, Experts, Linear, Mixer, Mixers, Mla, Model, Ttt, Views};

    fn model(layers: usize, width: usize, heads: (usize, usize), ffn: usize) -> Model {
        Model { kv_heads: Some(heads.1), ..Model::new(layers, width, heads.0, ffn) }
    }

    fn total(vocab_size: usize, model: &Model) -> u64 {
        Parameters::of(&model.shape(vocab_size, 1024)).total()
    }

    #[test]
    fn counts_of_known_models() {
        assert_eq!(total(128_000, &model(28, 3840, (30, 5), 10_240)), 5_249_659_648);
        assert_eq!(total(122_100, &model(28, 3840, (30, 5), 10_240)), 5_204_347_648);
        assert_eq!(total(92_759, &model(14, 3840, (30, 5), 10_240)), 2_845_700_864);
        assert_eq!(total(128_000, &model(52, 5120, (40, 8), 14_336)), 16_033_277_952);
        assert_eq!(total(1000, &model(4, 256, (4, 2), 512)), 2_874_112);
        let llama = |model: Model| Model { qk_norm: false, ..model };
        assert_eq!(total(32_000, &llama(model(12, 768, (12, 12), 2048))), 134_105_856);
        assert_eq!(total(65, &llama(model(4, 128, (4, 4), 512))), 1_066_368);
        let bit_llama = Model {
            head_width: Some(64),
            mixers: Some(Mixers::all(Mixer::Ttt)),
            ttt: Some(Ttt { rate: 0.1, views: Views::One }),
            head_bias: true,
            ..Model::new(4, 256, 1, 1024)
        };
        assert_eq!(total(16_384, &bit_llama), 11_684_096);
    }

    #[test]
    fn of_experts_those_that_are_chosen_are_active() {
        let mla = Mla {
            rank: 256,
            value_rank: Some(256),
            query_rank: None,
            nope_width: 56,
            rope_width: 56,
            bias: true,
        };
        let nano_kimi = Model {
            mixers: Some(Mixers::all(Mixer::Mla)),
            mla: Some(mla),
            experts: Some(Experts { width: Some(1024), shared: 2, dense: 1, ..Experts::new(8, 2) }),
            qk_norm: false,
            ..Model::new(6, 896, 8, 1024)
        };
        let parts = Parameters::of(&nano_kimi.shape(49_152, 1024));
        assert_eq!((parts.total(), parts.active()), (243_263_104, 160_687_744));
        assert_eq!(parts.mlp, 2_752_512 + 137_661_440);
        assert_eq!(parts.attention + parts.norms, 14_767_872 + 896);
        // What is added to scores is a number for each.
        let experts = nano_kimi.experts.map(|experts| Experts { bias_rate: 1e-3, ..experts });
        let with = Parameters::of(&Model { experts, ..nano_kimi }.shape(49_152, 1024));
        assert_eq!((with.norms - parts.norms, with.idle), (5 * 8, parts.idle));
    }

    #[test]
    fn parts_are_what_the_formula_says() {
        let model = model(4, 256, (4, 2), 512);
        let parts = Parameters::of(&model.shape(1000, 64));
        assert_eq!((parts.embedding, parts.head), (256_000, 256_000));
        assert_eq!(parts.attention, 4 * (2 * 256 * 256 + 2 * 256 * 128));
        assert_eq!(parts.mlp, 4 * 3 * 256 * 512);
        assert_eq!(parts.norms, 4 * (2 * 256 + 2 * 64) + 256);
        assert_eq!(parts.of_logits(), parts.head);
    }

    #[test]
    fn a_matrix_of_low_rank_is_two() {
        let model =
            Model { linear: Some(Linear { low_rank: Some(16), round: None }), ..model(4, 256, (4, 2), 512) };
        let shape = model.shape(1000, 64);
        let parts = Parameters::of(&shape);
        assert_eq!(parts.attention, 4 * 16 * (2 * (256 + 256) + 2 * (256 + 128)));
        assert_eq!(parts.mlp, 4 * 16 * 3 * (256 + 512));
        let dense = Parameters::of(&shape.dense());
        assert_eq!((parts.embedding, parts.norms), (dense.embedding, dense.norms));
        assert_eq!(dense.total(), 2_874_112);
    }

    #[test]
    fn a_table_of_cores_is_two_and_a_phase() {
        let embedding = Some(Embedding::of_rank(16));
        let of = |tied| {
            Parameters::of(&Model { embedding, tied, ..model(1, 4096, (32, 32), 64) }.shape(32_000, 64))
        };
        assert_eq!((of(true).embedding, of(true).head), (366_592 + 16, 0));
        assert_eq!((of(false).embedding, of(false).head), (366_592 + 16, 366_592 + 16));
        let shape = Model { embedding, ..model(4, 256, (4, 2), 512) }.shape(1000, 64);
        assert_eq!(Parameters::of(&shape.dense()).total(), 2_874_112);
    }

    #[test]
    fn a_tied_head_is_counted_once_and_multiplied_by_once() {
        let tied = Model { tied: true, ..model(4, 256, (4, 2), 512) };
        let parts = Parameters::of(&tied.shape(1000, 64));
        let untied = Parameters::of(&model(4, 256, (4, 2), 512).shape(1000, 64));
        assert_eq!(untied.total() - parts.total(), 256_000);
        assert_eq!(untied.of_logits(), parts.of_logits());
    }
}
