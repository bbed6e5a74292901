//! What each way to make sequences promises.
use super::support::*;
use muse_artifacts::tokens::{Split, Tokens};
use serde_json::{Value, json};
use std::path::Path;

/// Lengths as texts have them: most are short, some are very long. Normal by the sum of twelve even ones.
fn lengths(count: u64) -> Vec<usize> {
    let mut state = 1_u64;
    let mut even = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut normal = || (0..12).map(|_| even()).sum::<f64>() - 6.0;
    (0..count).map(|_| (6.0 + 1.0 * normal()).exp().clamp(1.0, 50_000.0) as usize).collect()
}

fn log_normal() -> tempfile::TempDir {
    let folder = place();
    let texts: Vec<_> = lengths(6000).into_iter().map(|length| text(&"x".repeat(length))).collect();
    corpus(folder.path(), "a", &texts);
    folder
}

fn pack(folder: &Path, strategy: &str) -> (Tokens, Value) {
    let tokens = run(folder, json!({ "context": 2048, "strategy": strategy }));
    (tokens, report(folder)["train"].clone())
}

#[test]
fn best_fit_uses_99_percent_and_cuts_nothing_that_fits() {
    let folder = log_normal();
    let (tokens, report) = pack(folder.path(), "best-fit");
    let used = report["positions_used"].as_f64().unwrap();
    assert!(used >= 0.99, "{used}");
    assert_eq!(report["cut_though_they_fit"], 0);
    // What is reported is what is there.
    let (mut whole, mut positions) = (0, 0);
    for number in 0..tokens.sequences(Split::Train) {
        let sequence = tokens.sequence(Split::Train, number).unwrap();
        positions += sequence.used();
        for segment in sequence.segments() {
            let length = tokens.document(Split::Train, segment.document).unwrap().ids.len();
            if length <= 2048 {
                assert_eq!((segment.offset, segment.length), (0, length));
                whole += 1;
            } else {
                // Full pieces and one rest.
                assert!(segment.length == 2048 || segment.offset as usize + segment.length == length);
                assert_eq!(segment.offset % 2048, 0);
            }
        }
    }
    assert!(whole > 4000, "{whole}");
    let share = positions as f64 / (tokens.sequences(Split::Train) * 2048) as f64;
    assert!((share - used).abs() < 1e-6, "{share} {used}");
    // In an order of chance: not the long ones first.
    let segments = |number| tokens.segments(Split::Train, number).unwrap().len();
    let (first, last): (usize, usize) = (
        (0..200).map(segments).sum(),
        (tokens.sequences(Split::Train) - 200..tokens.sequences(Split::Train)).map(segments).sum(),
    );
    assert!(first * 2 > last && last * 2 > first, "{first} {last}");
}

#[test]
fn concat_uses_all_positions_and_goes_on_in_the_next_sequence() {
    let folder = place();
    corpus(folder.path(), "a", &["abcdef", "gh", "ijklm"].map(text));
    let tokens = run(folder.path(), json!({ "context": 5, "validation": 0 }));
    let inputs: Vec<Vec<u32>> =
        (0..4).map(|number| tokens.sequence(Split::Train, number).unwrap().inputs().to_vec()).collect();
    let stream = ["abcdef", "gh", "ijklm"].map(ids).concat();
    assert_eq!(inputs.concat()[..16], stream);
    assert_eq!(inputs.concat()[16..], [END; 4]);
    assert_eq!(tokens.sequences(Split::Train), 4);
    // The last position of the first sequence predicts the first of the second: the document goes on.
    let labels = |number| tokens.sequence(Split::Train, number).unwrap().labels().to_vec();
    assert_eq!(labels(0)[4], inputs[1][0] as i32);
    assert_eq!(labels(1), [0, -100, ids("h")[0] as i32, 0, -100]);
    // `train.bin` is what nanoGPT reads.
    let bin = std::fs::read(folder.path().join("out/tokens/train.bin")).unwrap();
    let flat: Vec<u32> = bin.chunks(2).map(|two| u32::from(two[0]) | u32::from(two[1]) << 8).collect();
    assert_eq!(flat, stream);
}

#[test]
fn balanced_is_even_and_wastes_little() {
    let folder = log_normal();
    let (_, best_fit) = pack(folder.path(), "best-fit");
    let (tokens, balanced) = pack(folder.path(), "balanced");
    let figure = |report: &Value, name: &str| report[name].as_f64().unwrap();
    let (even, uneven) = (figure(&balanced, "imbalance"), figure(&best_fit, "imbalance"));
    assert!(even < 0.05 && uneven > 0.3, "{even} {uneven}");
    assert!(figure(&balanced, "positions_used") >= 0.98, "{balanced}");
    assert_eq!(balanced["cut_though_they_fit"], 0);
    // Blocks come in an order of chance, so the run is not from short to long.
    let cost = |number: u64| -> f64 {
        let segments = tokens.segments(Split::Train, number).unwrap();
        segments.iter().map(|(segment, _)| (segment.length as f64).powi(2)).sum()
    };
    let half = tokens.sequences(Split::Train) / 2;
    let mean = |range: std::ops::Range<u64>| range.clone().map(cost).sum::<f64>() / range.count() as f64;
    let (first, second) = (mean(0..half), mean(half..2 * half));
    assert!(first < 2.0 * second && second < 2.0 * first, "{first} {second}");
}
