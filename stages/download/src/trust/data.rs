//! What files hold: every format and packing, and what is odd.
use super::Bench;
use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Lays files out as the engine does, and reads them.
fn read(files: &[(&str, Vec<u8>)], more: Value) -> Result<Vec<String>, String> {
    let bench = Bench::new();
    read_on(&bench, files, more)
}

fn read_on(bench: &Bench, files: &[(&str, Vec<u8>)], more: Value) -> Result<Vec<String>, String> {
    let folder = bench.folder.path().join("in");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let mut params = json!({ "source": "file", "paths": [folder] });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.documents(params)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn every_format_in_every_packing() {
    let rows = ["a, \"b\"\n😀", "日本語 ｶﾅ\u{0}x"];
    let jsonl: String = rows.iter().map(|text| json!({ "id": 1, "text": text }).to_string() + "\n").collect();
    let array = serde_json::to_string_pretty(&json!([{ "text": rows[0] }, { "text": rows[1] }])).unwrap();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["id", "text"]).unwrap();
    rows.iter().for_each(|text| csv.write_record(["1", text]).unwrap());
    let table = parquet(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("text", texts(&[Some(rows[0]), Some(rows[1])])),
    ]);
    let formats =
        [("jsonl", jsonl.into_bytes()), ("json", array.into_bytes()), ("csv", csv.into_inner().unwrap())];
    let wanted: Vec<String> = rows.iter().map(|text| format!("x|{text}")).collect();
    assert_eq!(read(&[("x.parquet", table)], json!({})).unwrap(), wanted);
    for (ending, bytes) in formats {
        let bom = [b"\xef\xbb\xbf".as_slice(), &bytes].concat();
        let two = [gzip(&bytes[..9]), gzip(&bytes[9..])].concat();
        let zst = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        for (name, bytes) in [
            (format!("x.{ending}"), bytes.clone()),
            (format!("x.{ending}"), bom),
            (format!("x.{ending}.gz"), two),
            (format!("x.{ending}.zst"), zst.clone()),
            // What it is called does not matter to how it is unpacked.
            (format!("x.{ending}"), zst),
        ] {
            assert_eq!(read(&[(&name, bytes)], json!({})).unwrap(), wanted, "{name}");
        }
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(format!("d/x.{ending}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
        let zip = zip.finish().unwrap().into_inner();
        let found = read(&[("x.zip", zip)], json!({})).unwrap();
        assert_eq!(found, wanted, "zip of {ending}");
        // A file that the engine laid out without its name.
        let bench = Bench::new();
        let path = bench.folder.path().join("paths.0");
        std::fs::write(&path, &bytes).unwrap();
        let found = bench.documents(json!({ "paths": [path] })).unwrap();
        assert_eq!(found.join("\n"), wanted.join("\n").replace("x|", "file|"), "unnamed {ending}");
    }
}

#[test]
fn a_zip_is_read_by_name_and_a_damaged_one_is_named() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in
        [("b-2.txt", "two"), (".hidden.txt", "x"), ("__MACOSX/b.txt", "x"), ("b-1.txt", "one")]
    {
        zip.start_file(name, stored).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let mut zip = zip.finish().unwrap().into_inner();
    let lines = json!({ "documents": "line" });
    assert_eq!(read(&[("x.zip", zip.clone())], lines.clone()).unwrap(), ["x|one", "x|two"]);
    let at = zip.windows(3).position(|bytes| bytes == b"two").unwrap();
    zip[at] = b'T';
    let error = read(&[("x.zip", zip)], lines).unwrap_err();
    assert!(error.starts_with("x.zip/b-2.txt: ") && error.contains("hecksum"), "{error}");
}

#[test]
fn plain_text_is_cut_as_wished() {
    let text = "\u{feff}one\r\n  two\r\n\r\n \t\nthree\n\n\n";
    let files = [("b/t.txt", text.into()), ("a.txt", b"four".to_vec())];
    assert_eq!(read(&files, json!({})).unwrap(), ["file|four", "b|one\r\n  two\r\n\r\n \t\nthree\n\n\n"]);
    assert_eq!(
        read(&files, json!({ "documents": "paragraph" })).unwrap(),
        ["a|four", "t|one\n  two", "t|three"]
    );
    assert_eq!(
        read(&files, json!({ "documents": "line", "name": "n" })).unwrap(),
        ["n|four", "n|one", "n|  two", "n|three"]
    );
    assert_eq!(read(&files, json!({ "documents": "line", "limit": 2 })).unwrap(), ["a|four", "t|one"]);
}

#[test]
fn a_file_that_is_called_file_has_a_name_like_any_other() {
    let row = |text: &str| json!({ "text": text }).to_string().into_bytes();
    let files = [("file list.jsonl", row("a")), ("d/file 1.txt", b"b".to_vec())];
    assert_eq!(read(&files, json!({})).unwrap(), ["d|b", "file list|a"]);
}

#[test]
fn what_is_no_text_is_named_by_line_and_byte() {
    let bad = b"good\nb\xe9d\n".to_vec();
    let wanted = "line 2: byte 6 is no UTF-8";
    for more in [json!({}), json!({ "documents": "line" }), json!({ "documents": "paragraph" })] {
        let error = read(&[("a.txt", bad.clone())], more).unwrap_err();
        assert!(error.starts_with(&format!("a.txt: {wanted}; text must be UTF-8: `iconv")), "{error}");
    }
    let error =
        read(&[("a.jsonl", b"{\"text\": \"x\"}\n{\"text\": \"\xe9\"}\n".to_vec())], json!({})).unwrap_err();
    assert!(error.starts_with("a.jsonl: line 2: byte 24 is no UTF-8"), "{error}");
    let error = read(&[("a.csv", b"text,b\nx,y\n\xe9,z\n".to_vec())], json!({})).unwrap_err();
    assert!(error.starts_with("a.csv: row 2: value 1 of the row at line 3, byte 11, is no UTF-8"), "{error}");
    let error = read(&[("a.txt", b"\xff\xfea\0".to_vec())], json!({})).unwrap_err();
    assert!(error.starts_with("a.txt: it is UTF-16; text must be UTF-8"), "{error}");
}

#[test]
fn odd_rows_are_handled_or_named() {
    let bench = Bench::new();
    let escape = r#"{"text": "a\ud83d"}"#.as_bytes().to_vec();
    assert_eq!(read_on(&bench, &[("a.jsonl", escape)], json!({})).unwrap(), ["a|a\u{fffd}"]);
    assert_eq!(bench.report()["download"]["rows_with_broken_escapes"], 1);
    let bench = Bench::new();
    let rows = "{\"text\": null}\n{\"text\": \"\"}\n\n{\"text\": \"x\"}\n".into();
    assert_eq!(read_on(&bench, &[("a.jsonl", rows), ("b.jsonl", Vec::new())], json!({})).unwrap(), ["a|x"]);
    assert_eq!(bench.report()["download"]["empty_rows"], 2);
    let long = "長".repeat(4 << 20);
    let found = read(&[("a.jsonl", json!({ "text": long }).to_string().into_bytes())], json!({})).unwrap();
    assert_eq!(found, [format!("a|{long}")]);
    for (name, bytes, wanted) in [
        (
            "a.jsonl",
            "{\"text\": \"x\"}\n{\"text\": \"y\"",
            "a.jsonl: row 2: no JSON: EOF while parsing an object, at byte 12 of it",
        ),
        ("a.jsonl", "{\"text\": \"x\"}\n[1]", "a.jsonl: row 2: no JSON object, so it has no columns"),
        ("a.jsonl", "{\"text\": \"x\"}\n{\"text\": 5}", "a.jsonl: row 2: `text` is a number, no text"),
        ("a.jsonl", "{\"text\": \"x\"}\n{\"body\": \"y\"}", "a.jsonl: row 2: no field `text`; it has: body"),
        ("a.json", "[{\"text\": \"x\"}, 3]", "a.json: row 2: no JSON object, so it has no columns"),
        ("a.csv", "a,text\n1,x\n2\n", "a.csv: row 2: 1 values for 2 columns (line 3)"),
        ("a.csv", "text,text\n1,x\n", "a.csv: two columns are called `text`"),
        (
            "a.parquet",
            "no parquet at all",
            "a.parquet: parquet that cannot be read: Parquet error: Invalid Parquet file. Corrupt footer",
        ),
        (
            "a.jsonl",
            "{\"n\": 1}",
            "a.jsonl: no column of texts or chats; there are: n; name the column of texts by `text:`, or that of conversations by `messages:`",
        ),
    ] {
        assert_eq!(read(&[(name, bytes.into())], json!({})).unwrap_err(), wanted);
    }
    let cut = gzip(&b"{\"text\": \"x\"}\n".repeat(1000));
    let error = read(&[("a.jsonl.gz", cut[..cut.len() / 2].to_vec())], json!({})).unwrap_err();
    assert_eq!(error, "a.jsonl.gz: it ends early: it was cut, or is still being written");
    let error = read(&[("a.jsonl", "{\"text\": \"x\"}".into())], json!({ "text": "story" })).unwrap_err();
    assert_eq!(error, "a.jsonl: no column `story`; there are: text");
}

#[test]
fn shards_must_have_what_the_first_was_read_by() {
    let shard = |column: &str| parquet(vec![(column, texts(&[Some("x")]))]);
    let mut files: Vec<(String, Vec<u8>)> =
        (0..10).map(|at| (format!("s-{at}.parquet"), shard("text"))).collect();
    files[7].1 = shard("body");
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    assert_eq!(
        read(&files, json!({})).unwrap_err(),
        "s-7.parquet: no column `text`, by which s-0.parquet was read; there are: body; \
         files with other columns are another source; a glob such as `*.jsonl` names only those that belong together"
    );
    let other = [("a.jsonl", b"{\"text\": \"x\"}".to_vec()), ("report.json", b"{\"total\": 1}".to_vec())];
    assert_eq!(
        read(&other, json!({})).unwrap_err(),
        "report.json: row 1: no field `text`; it has: total; a.jsonl was read as text from text: files with other \
         columns are another source; a glob such as `*.jsonl` names only those that belong together"
    );
    // A column more, another order, another width of the same type: nothing that matters.
    let wide = parquet(vec![
        ("n", Arc::new(Int64Array::from(vec![1]))),
        ("text", Arc::new(arrow_array::LargeStringArray::from(vec!["y"]))),
    ]);
    assert_eq!(
        read(&[("a.parquet", shard("text")), ("b.parquet", wide)], json!({})).unwrap(),
        ["a|x", "b|y"]
    );
    let number = parquet(vec![("text", Arc::new(Int64Array::from(vec![1])))]);
    assert_eq!(
        read(&[("a.parquet", shard("text")), ("b.parquet", number)], json!({})).unwrap_err(),
        "b.parquet: row 1: `text`: values of type Int64 are no text"
    );
}

#[test]
fn chats_in_parquet_lose_nothing() {
    let fields = Fields::from(vec![
        Field::new("role", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
    ]);
    let builders = fields.iter().map(|_| Box::new(StringBuilder::new()) as _).collect();
    let mut list = ListBuilder::new(StructBuilder::new(fields, builders));
    for row in [vec![["user", "hi", ""], ["assistant", "hello", "bot"]], vec![]] {
        for message in row {
            for (at, value) in message.into_iter().enumerate() {
                let value = Some(value).filter(|value| !value.is_empty());
                list.values().field_builder::<StringBuilder>(at).unwrap().append_option(value);
            }
            list.values().append(true);
        }
        list.append(true);
    }
    let system = texts(&[Some("be kind"), None]);
    let bytes = parquet(vec![("messages", Arc::new(list.finish())), ("system", system)]);
    assert_eq!(
        read(&[("a.parquet", bytes)], json!({})).unwrap(),
        ["a|system: be kind -\nuser: hi -\nassistant: hello {\"name\":\"bot\"}"]
    );
    let rows = json!({ "instruction": "add", "input": "1 2", "output": "3" }).to_string()
        + "\n"
        + &json!({ "instruction": "sing", "output": "la" }).to_string();
    assert_eq!(
        read(&[("a.jsonl", rows.into())], json!({})).unwrap(),
        ["a|user: add\n\n1 2 -\nassistant: 3 -", "a|user: sing -\nassistant: la -"]
    );
}

#[test]
fn files_are_kept_as_they_are() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("in");
    std::fs::create_dir_all(folder.join("d")).unwrap();
    std::fs::write(folder.join("d/x.bin"), [0, 255, 1]).unwrap();
    let path: PathBuf = folder.clone();
    bench.run(json!({ "paths": [path], "as": "files" })).unwrap();
    assert_eq!(std::fs::read(bench.out("files").join("d/x.bin")).unwrap(), [0, 255, 1]);
    std::fs::create_dir_all(bench.folder.path().join("none")).unwrap();
    let error = bench.run(json!({ "paths": [bench.folder.path().join("none")] })).unwrap_err();
    assert_eq!(error, "`paths` number 1 names a folder without files");
}
