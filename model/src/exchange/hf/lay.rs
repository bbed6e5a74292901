//! Which tensors a class has, and of which rows of ours each is made.
use super::Class;
use crate::config::Model;
use crate::net::Weight;

/// A tensor as a class has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// What it is made of, one below the other; of nothing where it is zero.
    pub pieces: Vec<Piece>,
}

/// Rows of a weight of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name.
    pub weight: String,
    /// Which rows, in their order. None for all of it.
    pub rows: Option<Vec<usize>>,
}

impl Piece {
    fn all(weight: &str) -> Self {
        Self { weight: weight.to_owned(), rows: None }
    }

    fn of(weight: &str, rows: impl IntoIterator<Item = usize>) -> Self {
        Self { weight: weight.to_owned(), rows: Some(rows.into_iter().collect()) }
    }
}

/// The tensors of a model of this class, which has these weights.
pub fn laid(class: Class, model: &Model, weights: &[Weight]) -> Vec<Laid> {
    weights.iter().flat_map(|weight| one(class, model, weight)).collect()
}

/// What becomes of a weight: a tensor, or nothing, where another takes it in.
fn one(class: Class, model: &Model, weight: &Weight) -> Vec<Laid> {
    let as_it_is = || Laid {
        name: weight.name.clone(),
        shape: weight.shape.clone(),
        pieces: vec![Piece::all(&weight.name)],
    };
    if class != Class::DeepseekV3 {
        return vec![as_it_is()];
    }
    let (mla, heads, of_value) = (model.shape(1, 1).mla(), model.heads, model.head_width());
    let Some((block, part)) = weight.name.split_once(".self_attn.") else {
        return gate(model, weight).into_iter().chain([as_it_is()]).collect();
    };
    let named = |part: &str| format!("{block}.self_attn.{part}.weight");
    let columns = weight.shape.get(1).copied().unwrap_or(1);
    match part.strip_suffix(".weight").unwrap_or(part) {
        "q_proj" | "q_b_proj" => {
            let head = |head: usize| {
                let first = head * mla.key_width();
                let turned = pairs(mla.rope_width).map(move |row| first + mla.nope_width + row);
                (first..first + mla.nope_width).chain(turned)
            };
            vec![Laid { pieces: vec![Piece::of(&weight.name, (0..heads).flat_map(head))], ..as_it_is() }]
        }
        "k_a_proj" => {
            let turned = Piece::of(&named("k_rope_proj"), pairs(mla.rope_width));
            let shape = vec![mla.rank + mla.rope_width, columns];
            let pieces = vec![Piece::all(&weight.name), turned];
            vec![Laid { name: named("kv_a_proj_with_mqa"), shape, pieces }]
        }
        "k_a_layernorm" => vec![Laid { name: named("kv_a_layernorm"), ..as_it_is() }],
        "k_b_proj" => {
            let rows = |width: usize, head: usize| head * width..(head + 1) * width;
            let head = |head| {
                let key = Piece::of(&weight.name, rows(mla.nope_width, head));
                [key, Piece::of(&named("v_b_proj"), rows(of_value, head))]
            };
            let shape = vec![heads * (mla.nope_width + of_value), columns];
            vec![Laid { name: named("kv_b_proj"), shape, pieces: (0..heads).flat_map(head).collect() }]
        }
        "k_rope_proj" | "v_b_proj" => Vec::new(),
        _ => vec![as_it_is()],
    }
}

/// There what is added to scores is always there.
fn gate(model: &Model, weight: &Weight) -> Option<Laid> {
    let experts = model.experts.filter(|experts| !experts.has_bias())?;
    let gate = weight.name.strip_suffix(".mlp.gate.weight")?;
    let name = format!("{gate}.mlp.gate.e_score_correction_bias");
    Some(Laid { name, shape: vec![experts.count], pieces: Vec::new() })
}

/// The rows that positions turn as DeepSeek has them, where the two of a pair stand side by side: with us they are half of all apart.
fn pairs(width: usize) -> impl Iterator<Item = usize> {
    (0..width / 2).flat_map(move |at| [at, at + width / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Experts, Gate, Mixer, Mixers, Mla};
    use std::collections::BTreeSet;

    fn deepseek() -> Model {
        let experts =
            Experts { gate: Gate::Sigmoid, shared: 1, dense: 1, width: Some(12), ..Experts::new(4, 2) };
        Model {
            mixers: Some(Mixers::all(Mixer::Mla)),
            mla: Some(Mla {
                rank: 10,
                value_rank: None,
                query_rank: Some(14),
                nope_width: 6,
                rope_width: 4,
                bias: false,
            }),
            experts: Some(experts),
            ..Model::new(2, 32, 4, 24)
        }
    }

    #[test]
    fn every_row_of_every_weight_has_its_place() {
        let model = deepseek();
        let weights = Weight::all(&model.shape(50, 16));
        let all = laid(Class::of(&model).unwrap(), &model, &weights);
        let mut seen = BTreeSet::new();
        for tensor in &all {
            let mut rows = 0;
            for piece in &tensor.pieces {
                let weight = weights.iter().find(|weight| weight.name == piece.weight).unwrap();
                assert_eq!(weight.shape.get(1), tensor.shape.get(1), "{}", tensor.name);
                let own = piece.rows.clone().unwrap_or_else(|| (0..weight.shape[0]).collect());
                rows += own.len();
                assert!(
                    own.into_iter().all(|row| seen.insert((piece.weight.clone(), row))),
                    "{}",
                    tensor.name
                );
            }
            assert_eq!(rows, if tensor.pieces.is_empty() { 0 } else { tensor.shape[0] }, "{}", tensor.name);
        }
        assert_eq!(seen.len(), weights.iter().map(|weight| weight.shape[0]).sum::<usize>());
        let named = |name: &str| all.iter().find(|tensor| tensor.name.ends_with(name)).unwrap();
        assert_eq!(named("0.self_attn.kv_b_proj.weight").shape, [4 * (6 + 8), 10]);
        assert_eq!(named("0.self_attn.kv_a_proj_with_mqa.weight").shape, [14, 32]);
        assert_eq!(named("1.mlp.gate.e_score_correction_bias").shape, [4]);
        let query = named("0.self_attn.q_b_proj.weight").pieces[0].rows.clone().unwrap();
        assert_eq!(query[..12], [0, 1, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11]);
    }

    #[test]
    fn other_classes_have_our_tensors() {
        let model = Model { experts: Some(Experts::new(4, 2)), ..Model::new(2, 32, 4, 24) };
        let weights = Weight::all(&model.shape(50, 16));
        let all = laid(Class::of(&model).unwrap(), &model, &weights);
        for (tensor, weight) in all.iter().zip(&weights) {
            assert_eq!((&tensor.name, &tensor.shape), (&weight.name, &weight.shape));
        }
    }
}
