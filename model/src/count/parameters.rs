//! How many parameters a model has, part by part.
use crate::config::Shape;
use serde::Serialize;

/// The parameters of a model by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// A row for each token, or what rows are made of.
    pub embedding: u64,
    /// Queries, keys, values and what becomes of their answers, in all blocks.
    pub attention: u64,
    /// SwiGLU, in all blocks.
    pub mlp: u64,
    /// All norms, those of queries and keys too.
    pub norms: u64,
    /// From the last block to logits. Nothing where it is the embedding.
    pub head: u64,
}

impl Parameters {
    /// Those of a model of this shape.
    pub fn of(shape: &Shape) -> Self {
        let whole = |value: usize| value as u64;
        let (layers, width, ffn) = (whole(shape.layers), whole(shape.width), whole(shape.ffn));
        let (queries, keys) = (whole(shape.query_width()), whole(shape.key_width()));
        let table: u64 = tables(shape).into_iter().sum();
        let qk_norms = if shape.qk_norm { 2 * whole(shape.head_width) } else { 0 };
        let matrix = |out: u64| shape.low_rank.map_or(out * width, |rank| whole(rank) * (out + width));
        Self {
            embedding: table,
            attention: layers * 2 * (matrix(queries) + matrix(keys)),
            mlp: layers * 3 * matrix(ffn),
            norms: layers * (2 * width + qk_norms) + width,
            head: if shape.tied { 0 } else { table },
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.embedding + self.attention + self.mlp + self.norms + self.head
    }

    /// Those of the table that logits are made by: the head, or the embedding that is the head too.
    pub fn of_logits(&self) -> u64 {
        if self.head == 0 { self.embedding } else { self.head }
    }
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
    use crate::config::{Embedding, Linear, Model};

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
