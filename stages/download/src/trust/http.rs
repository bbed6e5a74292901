//! URLs: pinned by what they hold, resumed at any byte, never half.
use super::Bench;
use super::server::{Plain, What, sha256};
use crate::net::{Of, SEGMENT, Target, Wanted, fetch_all};
use serde_json::json;

fn text() -> Vec<u8> {
    (0..7).flat_map(|at| format!("line {at}\n").into_bytes()).collect()
}

fn put(bench: &Bench, path: &str, bytes: Vec<u8>) -> String {
    let plain = Plain { bytes, etag: Some("\"e1\"".into()), ranges: true, length: true };
    bench.hub.state().plain.insert(path.into(), plain);
    format!("{}{path}", bench.hub.url())
}

#[test]
fn a_cut_at_any_byte_resumes() {
    let bench = Bench::new();
    let bytes = text();
    let web = bench.web();
    for ranges in [true, false] {
        let url = put(&bench, "/t.txt", bytes.clone());
        bench.hub.state().plain.get_mut("/t.txt").unwrap().ranges = ranges;
        for cut in 0..=bytes.len() {
            let path = bench.folder.path().join(format!("{ranges}{cut}"));
            bench.hub.fault("/t.txt", What::Cut(cut), 1);
            let of = Of::Anyone { etag: Some("\"e1\"".into()) };
            let target =
                Target { name: "t".into(), url: url.clone(), size: bytes.len() as u64, parts: ranges, of };
            let wanted = Wanted { target, path: path.clone() };
            fetch_all(&web, vec![wanted], &mut bench.context(&json!({}))).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at {cut}");
        }
        // A byte at a time.
        bench.hub.fault(
            "/t.txt",
            What::Cut(if ranges { 1 } else { bytes.len() - 1 }),
            bytes.len() as u32 - 1,
        );
        let path = bench.folder.path().join(format!("{ranges}-slow"));
        let of = Of::Anyone { etag: Some("\"e1\"".into()) };
        let target =
            Target { name: "t".into(), url: url.clone(), size: bytes.len() as u64, parts: ranges, of };
        let end =
            fetch_all(&web, vec![Wanted { target, path: path.clone() }], &mut bench.context(&json!({})));
        bench.hub.state().faults.clear();
        // Who knows no parts and never comes to the end brings nothing new.
        assert_eq!(end.is_ok(), ranges);
        assert_eq!(path.exists(), ranges);
    }
}

#[test]
fn who_knows_no_parts_is_asked_once() {
    let bench = Bench::new();
    let bytes = vec![b'x'; SEGMENT as usize * 2 + 1];
    let url = put(&bench, "/big.txt", bytes.clone());
    bench.hub.state().plain.get_mut("/big.txt").unwrap().ranges = false;
    let pin = bench.pin(&url).unwrap();
    assert!(pin.ends_with(&format!(" {}", bytes.len())), "{pin}");
    // To see what it says, and to fetch it.
    assert_eq!(bench.hub.state().asked.len(), 2);
}

#[test]
fn a_url_is_pinned_by_what_it_holds() {
    let mut bench = Bench::new();
    let url = put(&bench, "/a/t.txt", text());
    let params = json!({ "source": "http", "urls": [url], "documents": "line" });
    let pin = bench.pin(&url).unwrap();
    assert_eq!(pin, format!("b3:{} {}", blake3::hash(&text()).to_hex(), text().len()));
    bench.pins = json!({ url.clone(): pin });
    let sent = bench.hub.sent("/a/t.txt");
    assert_eq!(bench.documents(params.clone()).unwrap()[1], "t|line 1");
    // What was fetched to be pinned is not fetched again.
    assert_eq!(bench.hub.sent("/a/t.txt"), sent);
    // It changes: what is at hand is still what was pinned; fetched anew it is refused.
    let mut other = text();
    other[0] = b'L';
    put(&bench, "/a/t.txt", other);
    bench.hub.state().plain.get_mut("/a/t.txt").unwrap().etag = Some("\"e2\"".into());
    assert_eq!(bench.documents(params.clone()).unwrap()[0], "t|line 0");
    std::fs::remove_dir_all(bench.resume()).unwrap();
    let error = bench.run(params.clone()).unwrap_err();
    assert!(
        error.contains("is not what it should be") && error.contains("`muse update` takes it as it is now"),
        "{error}"
    );
    let error = bench.run(params.clone()).unwrap_err();
    assert!(error.contains("is not what it should be"), "{error}");
    let again = bench.pin(&url).unwrap();
    bench.pins = json!({ url.clone(): again });
    assert_eq!(bench.documents(params).unwrap()[0], "t|Line 0");
}

#[test]
fn a_url_that_changes_on_the_way_is_no_mixture() {
    let bench = Bench::new();
    let url = put(&bench, "/t.txt", text());
    bench.hub.fault("/t.txt", What::Cut(1), 1);
    bench.hub.fault("/t.txt", What::Cut(20), 1);
    bench.hub.fault("/t.txt", What::Status(400, ""), 1);
    bench.pin(&url).unwrap_err();
    let mut other = text();
    other[0] = b'L';
    put(&bench, "/t.txt", other.clone());
    bench.hub.state().plain.get_mut("/t.txt").unwrap().etag = Some("\"e2\"".into());
    let pin = bench.pin(&url).unwrap();
    assert_eq!(pin, format!("b3:{} {}", blake3::hash(&other).to_hex(), other.len()));
}

#[test]
fn a_sha256_needs_no_pin() {
    let bench = Bench::new();
    let (one, two) = (
        put(&bench, "/x/t.txt", text()),
        put(&bench, "/y/t.txt?k=v".split('?').next().unwrap(), b"two".to_vec()),
    );
    let good = json!({ "source": "http", "urls": [one, two], "sha256": [sha256(&text()), sha256(b"two")], "as": "files" });
    bench.run(good).unwrap();
    assert_eq!(bench.facts(), json!({ "source": { "urls": [one, two] } }));
    assert_eq!(std::fs::read(bench.out("files").join("1-t.txt")).unwrap(), text());
    assert_eq!(std::fs::read(bench.out("files").join("2-t.txt")).unwrap(), b"two");
    let bad = json!({ "source": "http", "urls": [two], "sha256": { two.clone(): sha256(b"three") } });
    let error = bench.run(bad.clone()).unwrap_err();
    assert!(
        error.contains("is not what it should be")
            && error.contains("not the file that `sha256` was written for"),
        "{error}"
    );
    let error = bench
        .run(json!({ "source": "http", "urls": [two], "sha256": [sha256(b""), sha256(b"")] }))
        .unwrap_err();
    assert_eq!(error, "/sha256: 2 digests for 1 URLs");
}

#[test]
fn an_end_that_nobody_marks_is_not_trusted() {
    let mut bench = Bench::new();
    let url = put(&bench, "/t.txt", text());
    let tell = |length, ranges| {
        let mut state = bench.hub.state();
        let plain = state.plain.get_mut("/t.txt").unwrap();
        (plain.length, plain.ranges) = (length, ranges);
    };
    tell(false, false);
    let error = bench.pin(&url).unwrap_err();
    assert!(
        error.contains("does not say where t.txt ends") && error.contains("give its `sha256`"),
        "{error}"
    );
    let params = json!({ "source": "http", "urls": [url], "sha256": [sha256(&text())] });
    bench.run(params.clone()).unwrap();
    std::fs::remove_dir_all(bench.resume()).unwrap();
    bench.hub.fault("/t.txt", What::Cut(30), 9);
    let error = bench.run(params).unwrap_err();
    assert!(error.contains("is not what it should be"), "{error}");
    bench.hub.state().faults.clear();
    // An empty file is a file.
    let empty = put(&bench, "/empty.txt", Vec::new());
    let pin = bench.pin(&empty).unwrap();
    assert!(pin.ends_with(" 0"), "{pin}");
    bench.pins = json!({ empty.clone(): pin });
    bench.run(json!({ "source": "http", "urls": [empty], "as": "files" })).unwrap();
    assert_eq!(std::fs::read(bench.out("files").join("empty.txt")).unwrap(), b"");
    let error = bench.run(json!({ "source": "http", "urls": [empty] })).unwrap_err();
    assert_eq!(
        error,
        "there is no document in empty.txt: 1 of 1 rows and files are empty; name another column by `text:` or `messages:`"
    );
}
