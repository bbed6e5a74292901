//! Chains (BK-Core): the diagonal of the inverse of a matrix of three diagonals, from the left, token by token.
//!
//! With potentials `a`, couplings `k` and a distance `eta` from the real axis, `g_t = 1 / (a_t - i eta - k_(t-1) g_(t-1))`: what the last
//! number on the diagonal of the inverse would be if the matrix ended there. So no token knows of those behind it.
use super::{added, narrow, wide};
use crate::ops::{Linking, Ops};
use burn::prelude::*;
use burn::tensor::activation::{sigmoid, softplus};

/// Both halves of a row, in f32 and behind their biases.
fn biased<B: Backend>(both: Tensor<B, 2>, biases: [Tensor<B, 1>; 2]) -> [Tensor<B, 2>; 2] {
    let (both, [_, across]) = (wide(both.clone()), both.dims());
    let mut first = 0;
    biases.map(|bias| {
        let half = both.clone().narrow(1, first, across / 2) + wide(bias).unsqueeze();
        first += across / 2;
        half
    })
}

pub(crate) fn bounded<B: Backend>(both: Tensor<B, 2>, biases: [Tensor<B, 1>; 2], most: f64) -> Tensor<B, 2> {
    let [potential, coupling] = biased(both, biases);
    let potential = potential.div_scalar(most).tanh().mul_scalar(most);
    Tensor::cat(vec![potential, softplus(coupling, 1.0)], 1)
}

pub(crate) fn bounded_back<B: Backend>(
    both: Tensor<B, 2>,
    biases: [Tensor<B, 1>; 2],
    most: f64,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, [Tensor<B, 1>; 2]) {
    let (dtype, [_, across]) = (both.dtype(), both.dims());
    let [potential, coupling] = biased(both, biases);
    let turned = potential.div_scalar(most).tanh();
    let slope = Tensor::cat(vec![(turned.clone() * turned).neg() + 1.0, sigmoid(coupling)], 1);
    let own = grad * slope;
    let of_biases = [0, across / 2].map(|first| added(own.clone().narrow(1, first, across / 2)));
    (narrow(own, dtype), of_biases)
}

/// One number of each chain for each token: potentials, couplings.
fn halves<B: Backend>(links: Tensor<B, 3>) -> [Tensor<B, 3>; 2] {
    let [_, _, both] = links.dims();
    [0, both / 2].map(|first| links.clone().narrow(2, first, both / 2))
}

/// One where a token is not the first of its document, `[batch, tokens, 1]`.
fn linked<B: Backend>(linking: &Linking<B>, like: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, tokens] = linking.begins.dims();
    let places = Tensor::<B, 1, Int>::arange(0..tokens as i64, (&like.device(), linking.begins.dtype()));
    let first = linking.begins.clone().equal(places.unsqueeze::<2>().expand([batch, tokens]));
    first.bool_not().float().cast(like.dtype()).unsqueeze_dim(2)
}

pub(crate) fn link<B: Ops>(links: Tensor<B, 3>, eta: Tensor<B, 1>, linking: &Linking<B>) -> Tensor<B, 3> {
    let [batch, tokens, both] = links.dims();
    let [potential, coupling] = halves(links);
    let (on, eta) = (linked(linking, &potential), eta.reshape([1, 1, both / 2]));
    let nothing = Tensor::zeros([batch, 1, both / 2], (&potential.device(), potential.dtype()));
    // What the token before hands on: its coupling times what was found there.
    let mut handed = [nothing.clone(), nothing];
    let mut all = Vec::with_capacity(tokens);
    for at in 0..tokens {
        let row = |x: &Tensor<B, 3>| x.clone().narrow(1, at, 1);
        let [real, imaginary] = handed.map(|part| part * row(&on));
        let (real, imaginary) = (row(&potential) - real, eta.clone().neg() - imaginary);
        let size = real.clone() * real.clone() + imaginary.clone() * imaginary.clone();
        let found = [real / size.clone(), imaginary.neg() / size];
        handed = found.clone().map(|part| part * row(&coupling));
        all.push(Tensor::cat(found.to_vec(), 2));
    }
    Tensor::cat(all, 1)
}

/// From the last token to the first. What the loss asks of `g_t`, and what it asks of it by way of the tokens behind, comes together in one
/// number `s`: then `a` has its real part, `eta` that of `-i s`, and the coupling before takes `-s` times what was found there.
pub(crate) fn link_back<B: Ops>(
    links: Tensor<B, 3>,
    found: Tensor<B, 3>,
    linking: &Linking<B>,
    grad: Tensor<B, 3>,
) -> (Tensor<B, 3>, Tensor<B, 1>) {
    let [batch, tokens, both] = links.dims();
    let chains = both / 2;
    let [_, coupling] = halves(links);
    let on = linked(linking, &coupling);
    let ([found_re, found_im], [grad_re, grad_im]) = (halves(found), halves(grad));
    let nothing = Tensor::<B, 3>::zeros([batch, 1, chains], (&coupling.device(), coupling.dtype()));
    let mut behind = [nothing.clone(), nothing.clone()];
    let mut of_eta = nothing.clone();
    let (mut of_potential, mut of_coupling) = (Vec::with_capacity(tokens), Vec::with_capacity(tokens));
    for at in (0..tokens).rev() {
        let row = |x: &Tensor<B, 3>| x.clone().narrow(1, at, 1);
        let (re, im) = (row(&found_re), row(&found_im));
        // The coupling after this token counts by what was found here.
        let [behind_re, behind_im] = behind.clone();
        of_coupling.push((behind_re.clone() * re.clone() - behind_im.clone() * im.clone()).neg());
        // h - k s, where h is the conjugate of what the loss asks.
        let (asked_re, asked_im) =
            (row(&grad_re) - behind_re * row(&coupling), row(&grad_im).neg() - behind_im * row(&coupling));
        let (square_re, square_im) =
            (re.clone() * re.clone() - im.clone() * im.clone(), (re * im).mul_scalar(2.0));
        let here_re = (asked_re.clone() * square_re.clone() - asked_im.clone() * square_im.clone()).neg();
        let here_im = (asked_re * square_im + asked_im * square_re).neg();
        of_potential.push(here_re.clone());
        of_eta = of_eta + here_im.clone();
        // What came before has no part in the first of a document.
        behind = [here_re, here_im].map(|part| part * row(&on));
    }
    of_potential.reverse();
    of_coupling.reverse();
    let grad = Tensor::cat(vec![Tensor::cat(of_potential, 1), Tensor::cat(of_coupling, 1)], 2);
    (grad, of_eta.sum_dim(0).reshape([chains]))
}
