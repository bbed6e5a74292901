//! What a small input comes to: whoever changes these bytes or defaults raises `VERSION`.
use super::*;
use muse_stage::Stage;

#[test]
fn defaults_are_part_of_the_version() {
    let params: crate::Params = serde_json::from_value(json!({})).unwrap();
    let defaults = json!({
        "weights": {}, "weigh": "bytes", "repeat": 1, "normalize": "nfc", "min_chars": 1, "max_chars": null,
        "language": "any", "japanese": { "min_share": 0.3, "min_kana": 0.05 },
        "quality": { "max_symbols": null, "max_digits": null, "min_mean_line": null, "max_mean_line": null,
            "max_repeated_lines": null, "max_repeated_ngrams": null, "max_bullet_lines": null,
            "max_ellipsis_lines": null, "min_ended_lines": null, "forbidden": [] },
        "dedup": "none", "minhash": { "threshold": 0.8, "permutations": 128, "ngram": 5 },
        "shuffle": false, "seed": 0,
    });
    assert_eq!((Clean::VERSION, serde_json::to_value(params).unwrap()), (1, defaults));
}

#[test]
fn the_same_documents_stay_in_the_same_order() {
    let mut one: Vec<Document> = (0..300).map(|number| Document::text(sentence(number), "one")).collect();
    one.extend(
        (0..40).map(|number| Document::text(sentence(number * 3).replacen('あ', "か\u{3099}", 1), "copies")),
    );
    one.push(Document::text("12", "one"));
    let two: Vec<Document> =
        (300..500).map(|number| chat(&[("user", &sentence(number)), ("assistant", "はい。")])).collect();
    let with = json!({ "weights": { "a": 1, "b": 2 }, "repeat": 2, "min_chars": 5, "language": "ja", "dedup": "minhash",
        "shuffle": true, "seed": 5 });
    let run = clean(with, &[("a", one), ("b", two)]);
    let mut hasher = blake3::Hasher::new();
    for document in &run.documents {
        hasher.update(&crate::same::hash(&document.borrow()));
    }
    let short = |hash: blake3::Hash| hash.to_hex()[..16].to_owned();
    let report = short(blake3::hash(&run.bytes()["report.json"]));
    let told = (run.documents.len(), run.dropped("dedup: minhash"), run.dropped("weights"));
    assert_eq!(told, (604, 40, 96));
    assert_eq!(
        (short(hasher.finalize()).as_str(), report.as_str()),
        ("939286b5837f3dca", "f3a36b36a2c95467")
    );
}
