//! How many operations a second a device can do: what the share of its peak is a share of.
use burn::prelude::*;
use muse_model::count::Precision;
use muse_model::kernels::{Ops, Turned, gpu_name};
use std::time::Instant;

/// Operations a second of a GPU's products in bf16, in units of 10^12, as its maker says them for dense matrices, by a word of
/// its name and another that must be in it too. In TF32 they are half as many; of these a product in f32 takes three.
const GPUS: [(&str, &str, f64); 17] = [
    ("B200", "", 2250.0),
    ("H200", "NVL", 835.0),
    ("H200", "", 989.0),
    ("GH200", "", 989.0),
    ("H100", "PCIe", 756.0),
    ("H100", "NVL", 835.0),
    ("H100", "", 989.0),
    ("A100", "", 312.0),
    ("A40", "", 149.7),
    ("A10", "", 125.0),
    ("L40S", "", 362.0),
    ("L40", "", 181.0),
    ("L4", "", 121.0),
    ("5090", "", 209.5),
    ("4090", "", 165.2),
    ("3090", "", 71.0),
    ("3060", "", 25.5),
];

/// That of the GPU that a stage has, if it is one of those known.
pub(crate) fn of_gpu(precision: Precision) -> Option<f64> {
    by_name(&gpu_name()?, precision)
}

/// That of a GPU by its name, if it is one of those known.
pub(crate) fn by_name(name: &str, precision: Precision) -> Option<f64> {
    let has = |word: &str| name.split([' ', '-']).any(|other| other.eq_ignore_ascii_case(word));
    // Parts of a GPU, and those that have another's name and one of these words, have another speed.
    if ["MIG", "Laptop", "D", "Ti", "SUPER"].iter().any(|word| has(word)) {
        return None;
    }
    let known = |(word, with, _): &&(&str, &str, f64)| has(word) && (with.is_empty() || has(with));
    let (.., tera) = GPUS.iter().find(known)?;
    Some(tera * 1e12 * if precision == Precision::F32 { 0.5 } else { 1.0 })
}

/// That of the CPU: the best of a few products that are large enough, of both kinds that a step is made of most.
pub(crate) fn measured<B: Ops>(device: &B::Device) -> f64 {
    const SIZE: usize = 512;
    let x = Tensor::<B, 2>::ones([SIZE, SIZE], device);
    let once = |turned| {
        let begin = Instant::now();
        let _ = B::product(x.clone(), x.clone(), turned).into_data();
        begin.elapsed().as_secs_f64()
    };
    let kinds = [Turned::Right, Turned::Neither].into_iter().cycle();
    let best = kinds.take(10).map(once).fold(f64::INFINITY, f64::min);
    2.0 * (SIZE * SIZE * SIZE) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_known_by_words_of_their_names() {
        let tera = |name| by_name(name, Precision::Bf16).map(|peak| peak / 1e12);
        assert_eq!(tera("NVIDIA H100 80GB HBM3"), Some(989.0));
        assert_eq!(tera("NVIDIA H100 PCIe"), Some(756.0));
        assert_eq!(tera("NVIDIA A100-SXM4-80GB"), Some(312.0));
        assert_eq!(tera("NVIDIA A10"), Some(125.0));
        assert_eq!(tera("h100 pcie"), Some(756.0), "as somebody types it");
        assert_eq!(tera("rtx 3060 ti"), None);
        assert_eq!(tera("NVIDIA GeForce RTX 4090"), Some(165.2));
        assert_eq!(tera("NVIDIA GeForce RTX 4090 Laptop GPU"), None);
        assert_eq!(tera("NVIDIA GeForce RTX 4090 D"), None);
        assert_eq!(tera("NVIDIA GeForce RTX 3060 Ti"), None);
        assert_eq!(tera("NVIDIA A100-SXM4-40GB MIG 1g.5gb"), None);
        assert_eq!(tera("NVIDIA H200 NVL"), Some(835.0));
        assert_eq!(tera("NVIDIA L4"), Some(121.0));
        assert_eq!(tera("NVIDIA L40S"), Some(362.0));
        assert_eq!(tera("NVIDIA GeForce GT 710"), None);
        assert_eq!(tera(""), None);
        assert_eq!(by_name("NVIDIA H200", Precision::F32), Some(494.5e12));
    }
}
