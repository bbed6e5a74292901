//! Defaults, and digests of what they make: whoever changes these raises `VERSION`.
use super::{LINES, documents, params, train};
use crate::Tokenize;
use muse_stage::StageKind;
use serde_json::json;

#[test]
fn defaults_are_these() {
    let params: crate::Params = serde_json::from_value(json!({})).unwrap();
    let expected = json!({
        "algorithm": "bpe", "vocab_size": 32768, "mode": "default", "sample": null, "min_frequency": null,
        "special_tokens": null, "chat_template": null, "split": "script", "normalize": "none",
        "add_prefix_space": false, "max_token_length": 64,
    });
    assert_eq!(serde_json::to_value(&params).unwrap(), expected);
    assert_eq!(Tokenize.describe().version, 1);
}

#[test]
fn bytes_are_these() {
    let digests = [
        (json!({}), "b3:6b84908fb6553b0ef0a96a4f32bdd16f68388154d58b13667eba584ff968b3e1"),
        (
            json!({ "algorithm": "unigram" }),
            "b3:257693d657ead2742a9c2c193934a947ac2ccbd8a32593174cc17aa7a29cf700",
        ),
        (
            json!({ "algorithm": "char" }),
            "b3:6756403e55fc8c8ed8635c22d0113d1f712533eebe007f50d3e674c6f7ad079d",
        ),
        (
            json!({ "algorithm": "byte" }),
            "b3:04450d274c99db89bff4c716490da09e665c1787d9233b7d603759c88a45a4f5",
        ),
    ];
    let made = digests.map(|(with, expected)| {
        let run = train(&params(with.clone()), &documents());
        (
            (with["algorithm"].clone(), run.open().digest().to_owned()),
            (with["algorithm"].clone(), expected.to_owned()),
        )
    });
    let (mine, expected): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    assert_eq!(mine, expected);
}

#[test]
fn ids_of_lines_are_these() {
    let tokenizer = train(&params(json!({})), &documents()).open();
    let ids: Vec<Vec<u32>> = LINES.iter().map(|line| tokenizer.encode(line).unwrap()).collect();
    let expected: [&[u32]; LINES.len()] = [
        &[294, 312, 524, 344, 263],
        &[283, 224, 483, 23, 310, 423, 398, 336, 386, 425, 17],
        &[
            175, 126, 236, 175, 126, 255, 175, 125, 118, 175, 125, 120, 175, 125, 118, 175, 126, 231, 224,
            260, 105, 262, 226, 165, 231, 105, 168, 104, 244, 261, 121, 270, 252, 278, 261, 121,
        ],
        &[
            176, 257, 243, 105, 162, 226, 239, 176, 257, 243, 106, 162, 226, 239, 176, 257, 243, 104, 224,
            327, 82, 77, 76, 224, 176, 257, 233, 111, 176, 257, 233, 117, 4,
        ],
        &[260, 238, 224, 260, 237, 261, 251, 224, 72, 140, 227, 224, 140, 227],
        &[192, 193, 201, 224, 205, 202, 205, 202, 224, 224, 72, 286, 224, 224],
        &[
            31, 95, 72, 286, 82, 73, 87, 72, 91, 87, 95, 33, 31, 95, 76, 80, 66, 86, 87, 265, 87, 95, 33,
            369, 85, 202, 75, 76, 31, 95, 76, 80, 66, 72, 286, 95, 33,
        ],
        &[
            144, 249, 144, 116, 145, 226, 144, 112, 144, 114, 145, 227, 145, 228, 144, 114, 145, 229, 144,
            121, 145, 228, 144, 117, 15, 224, 445, 249, 164, 122, 109, 166, 109, 99, 168, 127, 240, 164, 125,
            258,
        ],
        &[31, 19, 91, 23, 20, 33, 224, 132, 258, 68, 132, 236, 224, 162, 248, 227],
    ];
    assert_eq!(ids, expected);
}

#[test]
fn the_report_is_this() {
    let run = train(&params(json!({})), &documents());
    let read = &run.report["read"];
    assert_eq!(
        *read,
        json!({ "bytes": 17350, "different_words": 116, "full": false, "texts": 242, "words": 3170 })
    );
}
