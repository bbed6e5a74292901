//! Chains token by token, all of a sequence side by side: one number of each chain in a lane.
use super::memory::{to_fill, zeros};
use super::numbers::{Floats, Ints, made};
use super::share::by_parts;
use super::vector::wide;
use crate::ops::Linking;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

pub(super) fn link(links: Tensor<Flex, 3>, eta: Tensor<Flex, 1>, linking: &Linking<Flex>) -> Tensor<Flex, 3> {
    let dims @ [_, tokens, both] = links.dims();
    let (links, eta, begins) = (Floats::of(links), Floats::of(eta), Ints::of(linking.begins.clone()));
    let (links, eta, begins) = (links.get(), eta.get(), begins.get());
    let mut out = to_fill(links.len());
    by_parts([&mut out], [tokens * both], |at, [out]| {
        let place = at * tokens * both;
        link_sequence(&links[place..][..out.len()], eta, &begins[at * tokens..][..tokens], out);
    });
    made(out, dims, DType::F32)
}

wide! {
    fn link_sequence(links: &[f32], eta: &[f32], begins: &[i32], out: &mut [f32]) {
        let chains = eta.len();
        // What the token before hands on: its coupling times what was found there.
        let mut handed = vec![0.0_f32; 2 * chains];
        let rows = links.chunks_exact(2 * chains).zip(out.chunks_exact_mut(2 * chains));
        for ((at, begin), (links, out)) in (0..).zip(begins).zip(rows) {
            if *begin == at {
                handed.fill(0.0);
            }
            step(links, eta, &mut handed, out);
        }
    }
}

/// One token of all chains: finds what is there by what is handed on, and hands on the next.
#[inline(always)]
pub(super) fn step(links: &[f32], eta: &[f32], handed: &mut [f32], out: &mut [f32]) {
    let chains = eta.len();
    let (potential, coupling) = links.split_at(chains);
    let (handed_re, handed_im) = handed.split_at_mut(chains);
    let (out_re, out_im) = out.split_at_mut(chains);
    for chain in 0..chains {
        let re = potential[chain] - handed_re[chain];
        let im = -eta[chain] - handed_im[chain];
        let inverse = 1.0 / (re * re + im * im);
        (out_re[chain], out_im[chain]) = (re * inverse, -im * inverse);
        (handed_re[chain], handed_im[chain]) =
            (out_re[chain] * coupling[chain], out_im[chain] * coupling[chain]);
    }
}

pub(super) fn link_back(
    links: Tensor<Flex, 3>,
    found: Tensor<Flex, 3>,
    linking: &Linking<Flex>,
    grad: Tensor<Flex, 3>,
) -> (Tensor<Flex, 3>, Tensor<Flex, 1>) {
    let dims @ [batch, tokens, both] = links.dims();
    let (links, found, grad) = (Floats::of(links), Floats::of(found), Floats::of(grad));
    let (links, found, grad) = (links.get(), found.get(), grad.get());
    let begins = Ints::of(linking.begins.clone());
    let begins = begins.get();
    let (mut out, mut of_eta) = (to_fill(links.len()), zeros(batch * both));
    by_parts([&mut out, &mut of_eta], [tokens * both, both], |at, [out, of_eta]| {
        let part = at * tokens * both..(at + 1) * tokens * both;
        let begins = &begins[at * tokens..][..tokens];
        link_sequence_back([&links[part.clone()], &found[part.clone()], &grad[part]], begins, out, of_eta);
    });
    // Sequences add up in their order.
    let mut sums = vec![0.0; both / 2];
    for of_sequence in of_eta.chunks_exact(both) {
        sums.iter_mut().zip(of_sequence).for_each(|(sum, part)| *sum += part);
    }
    (made(out, dims, DType::F32), made(sums, [both / 2], DType::F32))
}

wide! {
    /// As the plain way back has it. Of what stands beside, the first half is summed up for eta, and the second is of no use behind that.
    fn link_sequence_back(
        sources: [&[f32]; 3],
        begins: &[i32],
        out: &mut [f32],
        of_eta: &mut [f32],
    ) {
        let ([links, found, grad], chains) = (sources, of_eta.len() / 2);
        let of_eta = &mut of_eta[..chains];
        let mut behind = vec![[0.0_f32; 2]; chains];
        for at in (0..begins.len()).rev() {
            let row = 2 * chains * at..2 * chains * (at + 1);
            let coupling = &links[row.clone()][chains..];
            let (found_re, found_im) = found[row.clone()].split_at(chains);
            let (grad_re, grad_im) = grad[row.clone()].split_at(chains);
            let (of_potential, of_coupling) = out[row].split_at_mut(chains);
            let first = begins[at] as usize == at;
            for chain in 0..chains {
                let ([behind_re, behind_im], k) = (behind[chain], coupling[chain]);
                let (re, im) = (found_re[chain], found_im[chain]);
                of_coupling[chain] = behind_im * im - behind_re * re;
                let asked_re = grad_re[chain] - k * behind_re;
                let asked_im = -grad_im[chain] - k * behind_im;
                let (square_re, square_im) = (re * re - im * im, 2.0 * re * im);
                let here_re = asked_im * square_im - asked_re * square_re;
                let here_im = -(asked_re * square_im + asked_im * square_re);
                of_potential[chain] = here_re;
                of_eta[chain] += here_im;
                behind[chain] = if first { [0.0; 2] } else { [here_re, here_im] };
            }
        }
    }
}
