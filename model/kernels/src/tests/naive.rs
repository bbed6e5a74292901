//! The operations once more, as loops in f64 that nobody could get wrong.
use crate::ops::{NO_LABEL, Objective};

pub(crate) fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for (i, j, l) in (0..m).flat_map(|i| (0..n).flat_map(move |j| (0..k).map(move |l| (i, j, l)))) {
        out[i * n + j] += a[i * k + l] * b[l * n + j];
    }
    out
}

pub(crate) fn turn(a: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| a[r * columns + c])).collect()
}

/// Five rounds of Newton and Schulz, from a matrix over its norm.
pub(super) fn newton_schulz(matrix: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
    let mut x: Vec<f64> = matrix.iter().map(|x| x / norm).collect();
    for _ in 0..5 {
        let gram = product(&x, &turn(&x, [rows, columns]), [rows, columns, rows]);
        let third = product(&gram, &x, [rows, rows, columns]);
        let fifth = product(&gram, &third, [rows, rows, columns]);
        let powers = x.iter().zip(&third).zip(&fifth);
        x = powers.map(|((x, third), fifth)| 3.4445 * x - 4.7750 * third + 2.0315 * fifth).collect();
    }
    x
}

pub(super) fn rms_norm(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    x.chunks(weight.len())
        .flat_map(|row| {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
            row.iter().zip(weight).map(move |(x, w)| x * w / (mean + epsilon).sqrt())
        })
        .collect()
}

pub(super) fn swiglu(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
}

pub(super) fn rotate(x: &[f64], angles: &[f64], positions: &[i32], [heads, width]: [usize; 2]) -> Vec<f64> {
    let (half, mut out) = (width / 2, x.to_vec());
    for (row, position) in positions.iter().enumerate() {
        for (head, at) in (0..heads).flat_map(|head| (0..half).map(move |at| (head, at))) {
            let (sin, cos) = angles[*position as usize * half + at].sin_cos();
            let first = (row * heads + head) * width + at;
            (out[first], out[first + half]) =
                (x[first] * cos - x[first + half] * sin, x[first] * sin + x[first + half] * cos);
        }
    }
    out
}

/// Sizes of attention: batch, tokens, heads, heads of keys, width.
pub(super) type Sizes = [usize; 5];

/// The output, and the largest logit of each head. `stays` is what every share of `[batch, heads, tokens, tokens]` is
/// multiplied by.
pub(super) fn attend(
    [query, key, value]: [&[f64]; 3],
    starts: &[i32],
    scale: f64,
    stays: &[f64],
    [batch, tokens, heads, kv, width]: Sizes,
) -> (Vec<f64>, Vec<f64>) {
    let (mut out, mut peak) = (vec![0.0; query.len()], vec![f64::NEG_INFINITY; heads]);
    for (b, t, h) in
        (0..batch).flat_map(|b| (0..tokens).flat_map(move |t| (0..heads).map(move |h| (b, t, h))))
    {
        let q = ((b * tokens + t) * heads + h) * width;
        let of_key = |j: usize| ((b * tokens + j) * kv + h / (heads / kv)) * width;
        let seen: Vec<usize> = (starts[b * tokens + t] as usize..=t).collect();
        let logit =
            |j: &usize| (0..width).map(|at| query[q + at] * key[of_key(*j) + at]).sum::<f64>() * scale;
        let logits: Vec<f64> = seen.iter().map(logit).collect();
        peak[h] = logits.iter().fold(peak[h], |most, x| most.max(*x));
        let sum: f64 = logits.iter().map(|x| x.exp()).sum();
        for (j, logit) in seen.iter().zip(&logits) {
            for at in 0..width {
                let stays = stays[((b * heads + h) * tokens + t) * tokens + j];
                out[q + at] += logit.exp() / sum * stays * value[of_key(*j) + at];
            }
        }
    }
    (out, peak)
}

/// The objective and plain cross-entropy, summed.
pub(super) fn loss(x: &[f64], weight: &[f64], labels: &[i32], width: usize, o: &Objective) -> (f64, f64) {
    let (mut all, mut plain) = (0.0, 0.0);
    for (row, label) in x.chunks(width).zip(labels).filter(|(_, label)| **label != NO_LABEL) {
        let logits: Vec<f64> =
            weight.chunks(width).map(|w| row.iter().zip(w).map(|(x, w)| x * w).sum()).collect();
        let lse = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
        let p: Vec<f64> = logits.iter().map(|x| (x - lse).exp()).collect();
        let right = *label as usize;
        let entropy = -p[right].ln();
        let classes = p.len() as f64;
        let target = |at: usize| if at == right { 1.0 - o.epsilon } else { o.epsilon / (classes - 1.0) };
        let smooth: f64 = p.iter().enumerate().map(|(at, p)| -target(at) * p.ln()).sum();
        all += o.cross_entropy * entropy
            + o.focal * (1.0 - p[right]).powf(o.gamma) * entropy
            + o.smooth * smooth
            + o.z * lse * lse;
        plain += entropy;
    }
    (all, plain)
}
