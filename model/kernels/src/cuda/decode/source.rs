//! What kernels are compiled from.
use super::{CHUNK, attention, matrix, whole, wide};

/// Its parts, in the order in which one stands on the other.
const PARTS: [&str; 18] = [
    include_str!("source/numbers.cu"),
    include_str!("source/rows.cu"),
    include_str!("source/product.cu"),
    include_str!("source/tiles.cu"),
    include_str!("source/near.cu"),
    include_str!("source/exact.cu"),
    include_str!("source/turn.cu"),
    include_str!("source/attention.cu"),
    include_str!("source/ring.cu"),
    include_str!("source/bring.cu"),
    include_str!("source/block.cu"),
    include_str!("source/hands.cu"),
    include_str!("source/whole_product.cu"),
    include_str!("source/whole_attention.cu"),
    include_str!("source/whole.cu"),
    include_str!("source/along.cu"),
    include_str!("source/picked.cu"),
    include_str!("source/wide_attention.cu"),
];

/// The source for a model whose weights are kept so, with heads of that width and so many that share one of keys. A block of a step as
/// one kernel has `shared` bytes to itself; without any there is no such kernel.
pub(super) fn source(kept: usize, head_width: usize, group: usize, shared: usize) -> String {
    // What both sides must know is said here alone.
    let known = [
        ("KEPT", kept),
        ("HEAD", head_width),
        ("GROUP", group),
        ("CHUNK", CHUNK),
        ("TILE", matrix::TILE),
        ("NEAR", matrix::NEAR),
        ("APART", matrix::APART),
        ("SHARE", attention::SHARE),
        ("TOGETHER", attention::TOGETHER.min(group)),
        ("SHARED", shared),
        ("COUNTER", whole::COUNTER),
        ("HANDS", whole::HANDS),
        ("WIDEST_KEY", wide::WIDEST_KEY),
        ("WIDEST_VALUE", wide::WIDEST_VALUE),
    ];
    let mut source = known.map(|(name, number)| format!("#define {name} {number}\n")).concat();
    source.extend(PARTS);
    source
}
