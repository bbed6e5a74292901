//! Multi-head latent attention: keys and values are made of few numbers a token, and part of a key all heads have in common.
use super::linear::{Linear, of_heads, project_behind};
use super::mixer::Site;
use burn::module::Param;
use burn::prelude::*;
use muse_kernels::{Ops, Placing};

/// The matrices of latent attention.
#[derive(Module, Debug)]
pub struct Latent<B: Backend> {
    /// What makes the numbers that queries are made of, where they are not made of the token as it is.
    pub(super) query_first: Option<Linear<B>>,
    pub(super) query_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) query: Linear<B>,
    pub(super) key_first: Linear<B>,
    pub(super) key_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) key: Linear<B>,
    /// The part of a key that positions turn, which all heads have in common.
    pub(super) key_turned: Linear<B>,
    /// The same for values, where they are not made of what keys are made of.
    pub(super) value_first: Option<Linear<B>>,
    pub(super) value_norm: Option<Param<Tensor<B, 1>>>,
    pub(super) value: Linear<B>,
    pub(super) output: Linear<B>,
    pub(super) bias: Option<Param<Tensor<B, 1>>>,
    pub(super) heads: usize,
    pub(super) nope_width: usize,
    pub(super) rope_width: usize,
    pub(super) norm_eps: f64,
}

impl<B: Ops> Latent<B> {
    /// x and what attention adds to it, and the largest logit of each head.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`, `[heads]`
    pub(super) fn forward(&self, x: Tensor<B, 2>, site: &Site<'_, B>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let ([sequences, tokens], [rows, _]) = (site.batch.starts.dims(), x.dims());
        let (heads, width) = (self.heads, self.nope_width + self.rope_width);
        let [query, key, key_turned, value] = self.of_token(x.clone(), site.norm.clone());
        let query = query.reshape([rows, heads, width]);
        let (query, query_turned) =
            (query.clone().narrow(2, 0, self.nope_width), query.narrow(2, self.nope_width, self.rope_width));
        let (query_turned, key_turned) = self.turned(query_turned, key_turned, site);
        let query = Tensor::cat(vec![query, query_turned], 2);
        let key = Tensor::cat(
            vec![key.reshape([rows, heads, self.nope_width]), key_turned.repeat_dim(1, heads)],
            2,
        );
        let [_, across] = value.dims();
        let value = value.reshape([rows, heads, across / heads]);
        let of_value = across / heads;
        // Heads of one width, and of one that a GPU takes: what is added is zero, and so is what comes of it.
        let wide = width.max(of_value).next_multiple_of(16);
        let all = Tensor::cat([query, key, value].map(|part| widened(part, wide)).to_vec(), 1);
        let all = all.reshape([sequences, tokens, 3 * heads, wide]);
        let attended = B::attend(all, heads, &site.sight(width));
        let answers = attended.output.narrow(3, 0, of_value).reshape([rows, across]);
        let x = match &self.bias {
            None => x,
            Some(bias) => x.clone() + bias.val().cast(x.dtype()).unsqueeze(),
        };
        (self.output.onto(x, answers, site.dropped()), attended.peak)
    }

    /// The queries, keys, the keys' common part, and the values of tokens.
    fn of_token(&self, x: Tensor<B, 2>, norm: Tensor<B, 1>) -> [Tensor<B, 2>; 4] {
        let mut first = vec![self.query_first.as_ref().unwrap_or(&self.query), &self.key_first];
        first.push(&self.key_turned);
        first.extend(&self.value_first);
        let all = project_behind(x, Some(norm), self.norm_eps, &first);
        let mut from = 0;
        let mut parts = first.iter().map(|linear| {
            from += linear.out();
            all.clone().narrow(1, from - linear.out(), linear.out())
        });
        let mut next = || parts.next().expect("a part for each matrix");
        let (query, latent, key_turned) = (next(), next(), next());
        let of_value = self.value_first.as_ref().map(|_| next());
        let behind = |x, norm: &Option<Param<Tensor<B, 1>>>, linears: &[&Linear<B>]| {
            project_behind(x, norm.as_ref().map(Param::val), self.norm_eps, linears)
        };
        let query = match &self.query_first {
            None => query,
            Some(_) => behind(query, &self.query_norm, &[&self.query]),
        };
        let (key, value) = match of_value {
            Some(of_value) => (
                behind(latent, &self.key_norm, &[&self.key]),
                behind(of_value, &self.value_norm, &[&self.value]),
            ),
            None => {
                let both = behind(latent, &self.key_norm, &[&self.key, &self.value]);
                let (keys, values) = (self.key.out(), self.value.out());
                (both.clone().narrow(1, 0, keys), both.narrow(1, keys, values))
            }
        };
        [query, key, key_turned, value]
    }

    /// The parts that positions turn: `[rows, heads, rope_width]` of queries, `[rows, 1, rope_width]` of keys.
    fn turned(
        &self,
        query: Tensor<B, 3>,
        key: Tensor<B, 2>,
        site: &Site<'_, B>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let placing = Placing {
            heads: self.heads,
            angles: site.setting.latent.clone().expect("a setting has the angles of all blocks"),
            positions: site.batch.positions.clone(),
            norms: None,
            epsilon: self.norm_eps,
        };
        let key = key.unsqueeze_dim::<3>(1);
        // What stands where values do is not turned, and not used.
        let placed = B::place(Tensor::cat(vec![query, key.clone(), key], 1), &placing);
        (placed.clone().narrow(1, 0, self.heads), placed.narrow(1, self.heads, 1))
    }

    /// Multiplies the logits of each head by its factor. Both sides take its root where each head has its own; of the part that all heads have
    /// in common, queries take the whole.
    pub(super) fn scale_logits(&mut self, factors: Tensor<B, 1>) {
        let roots = factors.clone().sqrt();
        let by_part = [(roots.clone(), self.nope_width), (factors, self.rope_width)]
            .map(|(factors, width)| factors.unsqueeze_dim::<2>(1).repeat_dim(1, width));
        let rows = self.heads * (self.nope_width + self.rope_width);
        self.query.scale_rows(Tensor::cat(by_part.to_vec(), 1).reshape([rows]));
        self.key.scale_rows(of_heads(roots, self.nope_width));
    }
}

/// Heads with zeros behind their numbers, so that they are so wide.
fn widened<B: Backend>(x: Tensor<B, 3>, wide: usize) -> Tensor<B, 3> {
    let [rows, heads, width] = x.dims();
    if width == wide {
        return x;
    }
    let nothing = Tensor::zeros([rows, heads, wide - width], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, nothing], 2)
}
