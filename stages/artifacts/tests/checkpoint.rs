//! Checkpoints: what goes in comes out, and what is torn, cut, changed or lies is an error and never a checkpoint.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use muse_artifacts::checkpoint::{
    Checkpoint, CheckpointWriter, Checkpoints, Dtype, Facts, Look, Tensor, Tensors,
};
use muse_artifacts::{ArtifactError, Result};
use muse_stage::StageError;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of chance that hang on the name alone.
fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = vec![0; tensor.bytes().unwrap()];
    blake3::Hasher::new().update(tensor.name.as_bytes()).finalize_xof().fill(&mut bytes);
    Ok(bytes)
}

fn model() -> Vec<Tensor> {
    vec![
        Tensor::new("norm", Dtype::BF16, [3]),
        Tensor::new("embed", Dtype::F32, [5, 4]),
        Tensor::new("head", Dtype::F32, [4, 5]),
        Tensor::new("scale", Dtype::F32, []),
    ]
}

fn facts(step: u64, validation_loss: f64) -> Facts {
    let figures = [("loss".to_owned(), 2.5), ("validation_loss".to_owned(), validation_loss)].into();
    let (config, tokenizer) = (json!({ "layers": 2, "norm": "rms" }), Some("b3:0123".to_owned()));
    Facts { config, tokenizer, step, tokens: step * 100, figures }
}

/// One with all that there can be, the model in two files.
fn write(folder: &Path, step: u64, validation_loss: f64) {
    let mut writer = CheckpointWriter::create(folder).unwrap().shard_bytes(100);
    writer.model(&model(), bytes_of).unwrap();
    let states = [Tensor::new("m.embed", Dtype::U8, [20]), Tensor::new("m.scale", Dtype::F32, [1])];
    writer.optimizer(&states, bytes_of).unwrap();
    writer.state(&json!({ "cursor": 7, "seed": [1, 2] })).unwrap();
    writer.finish(facts(step, validation_loss)).unwrap();
}

fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("checkpoint");
    write(&place, 10, 2.0);
    (folder, place)
}

/// Every file by its path, with what is in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Opened and read to the last byte.
fn intact(folder: &Path) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::open(folder)?;
    checkpoint.verify()?;
    Ok(checkpoint)
}

fn said(error: &ArtifactError) -> String {
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

#[test]
fn what_goes_in_comes_out() {
    let (_held, place) = written();
    let checkpoint = intact(&place).unwrap();
    let about = checkpoint.about();
    assert_eq!((about.step, about.tokens, about.parameters), (10, 1000, 44));
    assert_eq!((about.loss(), about.validation_loss()), (Some(2.5), Some(2.0)));
    assert_eq!(about.config, json!({ "layers": 2, "norm": "rms" }));
    assert_eq!(about.tokenizer.as_deref(), Some("b3:0123"));
    for tensor in model() {
        assert_eq!(checkpoint.model().get(&tensor.name), Some(&tensor));
        assert_eq!(checkpoint.model().read(&tensor.name).unwrap(), bytes_of(&tensor).unwrap());
    }
    let mut room = [0; 80];
    checkpoint.model().read_into("head", &mut room).unwrap();
    assert_eq!(room[..], bytes_of(&model()[2]).unwrap());
    let error = checkpoint.model().read_into("head", &mut room[1..]).unwrap_err();
    assert!(said(&error).contains("`head` has 80 bytes, and there is room for 79"), "{}", said(&error));
    assert!(said(&checkpoint.model().read("tail").unwrap_err()).contains("there is no tensor `tail`"));
    assert_eq!(checkpoint.optimizer().unwrap().read("m.embed").unwrap().len(), 20);
    assert_eq!(checkpoint.state().unwrap(), Some(json!({ "cursor": 7, "seed": [1, 2] })));
    // Who reads with Hugging Face's names finds what he looks for.
    let names: Vec<_> = files(&place).into_keys().collect();
    let expected = [
        "checkpoint.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "state/optimizer.safetensors",
        "state/state.json",
    ];
    assert_eq!(names, expected);
    let index: Value =
        serde_json::from_slice(&fs::read(place.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 80 + 80 + 4 + 6);
    assert_eq!(index["weight_map"]["embed"], expected[1]);
    assert_eq!(index["weight_map"]["norm"], expected[2]);
}

#[test]
fn floats_of_any_kind_come_as_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("checkpoint");
    let tensors = [("a", Dtype::F32), ("b", Dtype::BF16), ("c", Dtype::F16), ("d", Dtype::I64)];
    let tensors = tensors.map(|(name, dtype)| Tensor::new(name, dtype, [2]));
    let give = |tensor: &Tensor| -> Result<Vec<u8>> {
        Ok(match tensor.dtype {
            Dtype::F32 => [1.25_f32, -3e-9].map(f32::to_le_bytes).concat(),
            // 1 and -2.5, whose upper half of an f32 says all.
            Dtype::BF16 => [0x3f80_u16, 0xc020].map(u16::to_le_bytes).concat(),
            Dtype::F16 => [0x3c00_u16, 0xc100].map(u16::to_le_bytes).concat(),
            _ => vec![0; 16],
        })
    };
    let mut writer = CheckpointWriter::create(&place).unwrap();
    writer.model(&tensors, give).unwrap();
    writer.finish(facts(1, 1.0)).unwrap();
    let read = |name| intact(&place).unwrap().model().read_f32(name);
    assert_eq!(read("a").unwrap(), [1.25, -3e-9]);
    assert_eq!(read("b").unwrap(), [1.0, -2.5]);
    assert_eq!(read("c").unwrap(), [1.0, -2.5]);
    assert!(
        said(&read("d").unwrap_err()).contains("`d` is of I64, and weights are"),
        "{}",
        said(&read("d").unwrap_err())
    );
}

#[test]
fn one_is_enough_for_weights_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("m");
    let mut writer = CheckpointWriter::create(&place).unwrap();
    writer.model(&model(), bytes_of).unwrap();
    let about =
        writer.finish(Facts { figures: [("loss".to_owned(), f64::NAN)].into(), ..Facts::default() }).unwrap();
    assert_eq!(names(&place), ["checkpoint.json", "model.safetensors"]);
    let checkpoint = intact(&place).unwrap();
    assert!(checkpoint.optimizer().is_none() && checkpoint.state().unwrap().is_none());
    assert_eq!((checkpoint.about(), about.loss()), (&about, None));
    assert_eq!(names(folder.path()), ["m"]);
}

fn some_tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let dtypes = [Dtype::F32, Dtype::BF16, Dtype::U8, Dtype::I64, Dtype::F16, Dtype::BOOL];
    let tensor = (prop::sample::select(dtypes.to_vec()), prop::collection::vec(0_usize..6, 0..4));
    prop::collection::vec(tensor, 0..12).prop_map(|tensors| {
        let named = |(at, (dtype, shape))| Tensor::new(format!("層.{at}\"\\"), dtype, shape);
        tensors.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tensors_come_back_and_others_can_read_them(tensors in some_tensors(), most in 1_u64..400) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("c");
        let mut writer = CheckpointWriter::create(&place).unwrap().shard_bytes(most);
        writer.model(&tensors, bytes_of).unwrap();
        writer.finish(facts(1, 1.0)).unwrap();
        let checkpoint = intact(&place).unwrap();
        prop_assert_eq!(checkpoint.model().iter().count(), tensors.len());
        for tensor in &tensors {
            prop_assert_eq!(checkpoint.model().get(&tensor.name), Some(tensor));
            prop_assert_eq!(checkpoint.model().read(&tensor.name).unwrap(), bytes_of(tensor).unwrap());
        }
        let mut seen = 0;
        for (name, bytes) in files(&place).iter().filter(|(name, _)| name.ends_with(".safetensors")) {
            let theirs = safetensors::SafeTensors::deserialize(bytes).unwrap();
            let mut held = 0;
            for (tensor, view) in theirs.iter() {
                prop_assert_eq!(view.data(), checkpoint.model().read(tensor).unwrap());
                // Readers that map the file want numbers at multiples of their width.
                let at = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
                prop_assert!(view.data().is_empty() || at.is_multiple_of(view.dtype().bitsize() / 8), "{}", name);
                held += view.data().len() as u64;
            }
            prop_assert!(held <= most || theirs.iter().filter(|(_, view)| !view.data().is_empty()).count() == 1);
            seen += theirs.len();
        }
        prop_assert_eq!(seen, tensors.len());
    }

    #[test]
    fn numbers_of_a_state_come_back_to_the_bit(number in any::<f64>().prop_filter("JSON has no others", |n| n.is_finite())) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("c");
        let mut writer = CheckpointWriter::create(&place).unwrap();
        writer.model(&[], bytes_of).unwrap();
        writer.state(&json!({ "best": number })).unwrap();
        writer.finish(Facts { figures: [("x".to_owned(), number)].into(), ..Facts::default() }).unwrap();
        let checkpoint = intact(&place).unwrap();
        let state = checkpoint.state().unwrap().unwrap();
        prop_assert_eq!(state["best"].as_f64().unwrap().to_bits(), number.to_bits());
        prop_assert_eq!(checkpoint.about().figures["x"].to_bits(), number.to_bits());
    }

    #[test]
    fn a_head_of_chance_is_an_error(head in prop::collection::vec(any::<u8>(), 0..200), length in any::<u64>()) {
        let folder = tempfile::tempdir().unwrap();
        for length in [length, head.len() as u64] {
            let path = folder.path().join("x.safetensors");
            fs::write(&path, [&length.to_le_bytes(), head.as_slice()].concat()).unwrap();
            prop_assert!(Tensors::open([path]).is_err());
        }
    }
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let ((_a, a), (_b, b)) = (written(), written());
    assert_eq!(files(&a), files(&b));
}

#[test]
fn one_tensor_is_in_memory_at_a_time() {
    struct Lent<'a>(Vec<u8>, &'a Cell<usize>);
    impl AsRef<[u8]> for Lent<'_> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Lent<'_> {
        fn drop(&mut self) {
            self.1.set(self.1.get() - 1);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (lent, most) = (Cell::new(0), Cell::new(0));
    let mut writer = CheckpointWriter::create(&folder.path().join("c")).unwrap();
    let give = |tensor: &Tensor| {
        lent.set(lent.get() + 1);
        most.set(lent.get().max(most.get()));
        Ok::<_, ArtifactError>(Lent(bytes_of(tensor)?, &lent))
    };
    writer.model(&model(), give).unwrap();
    assert_eq!((lent.get(), most.get()), (0, 1));
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("c");
    let two = [Tensor::new("a", Dtype::F32, [1]), Tensor::new("a", Dtype::F32, [2])];
    let endless = [Tensor::new("a", Dtype::F32, [usize::MAX, 2])];
    let half = [Tensor::new("a", Dtype::F4, [3])];
    let reserved = [Tensor::new("__metadata__", Dtype::F32, [1])];
    for (tensors, says) in [
        (two.as_slice(), "there are two tensors `a`"),
        (&endless, "has no size"),
        (&half, "has no size"),
        (&reserved, "cannot be called `__metadata__`"),
    ] {
        let mut writer = CheckpointWriter::create(&place).unwrap();
        let error = writer.model(tensors, bytes_of).unwrap_err();
        assert!(said(&error).contains(says), "{}", said(&error));
    }
    let mut writer = CheckpointWriter::create(&place).unwrap();
    let error = writer.model(&model(), |_| Ok::<_, ArtifactError>([0; 3])).unwrap_err();
    assert!(
        said(&error).contains("tensor `embed` of [5, 4] F32 has 80 bytes, and 3 came"),
        "{}",
        said(&error)
    );
    drop(writer);
    let mut writer = CheckpointWriter::create(&place).unwrap();
    let error =
        writer.model(&model(), |_| Err::<Vec<u8>, _>(StageError::new("the device is gone"))).unwrap_err();
    assert_eq!(error.to_string(), "the device is gone");
    assert!(said(&writer.finish(facts(1, 1.0)).unwrap_err()).contains("without a model"));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_writer_that_is_killed_leaves_no_checkpoint() {
    for stop in 0..=model().len() {
        let folder = tempfile::tempdir().unwrap();
        let all = Checkpoints::of(folder.path());
        write(&all.place(10), 10, 2.0);
        let mut writer = CheckpointWriter::create(&all.place(20)).unwrap();
        let mut left = stop;
        let result = writer.model(&model(), |tensor| {
            left = left.checked_sub(1).ok_or_else(|| StageError::new("killed"))?;
            Ok::<_, StageError>(bytes_of(tensor)?)
        });
        assert_eq!(result.is_ok(), stop == model().len());
        // A process that is killed drops nothing.
        std::mem::forget(writer);
        assert_eq!(names(folder.path()), [".step-000000020.partial", "step-000000010"]);
        let (newest, damaged) = all.newest().unwrap();
        assert_eq!((newest.unwrap().about().step, damaged.len()), (10, 0));
        // The next one begins anew.
        write(&all.place(20), 20, 2.0);
        assert_eq!(all.newest().unwrap().0.unwrap().about().step, 20);
        assert_eq!(names(folder.path()), ["step-000000010", "step-000000020"]);
    }
}

#[test]
#[ignore = "the process that `kills_at_any_moment_leave_only_whole_ones` kills"]
fn writes_until_it_is_killed() {
    let all = Checkpoints::of(Path::new("kept"));
    let first = steps(&all).last().map_or(1, |last| last + 1);
    // Where nobody has made the folder, nobody kills.
    for step in (first..first + 10_000).take_while(|_| Path::new("kept").is_dir()) {
        write(&all.place(step), step, 1.0);
        // The same again: one checkpoint takes the place of another.
        write(&all.place(step), step, 1.0);
        all.keep_last(2, &[]).unwrap();
    }
}

#[test]
fn kills_at_any_moment_leave_only_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let all = Checkpoints::of(&kept);
    write(&all.place(1), 1, 1.0);
    for round in 0..20 {
        let newest = |before: u64| steps(&all).last().map_or(before, |last| before.max(*last));
        let before = newest(0);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--ignored"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while newest(before) == before {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        // Further into the next one in each round.
        for _ in 0..round * 40 {
            names(&kept);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (checkpoint, damaged) = all.newest().unwrap();
        assert!(damaged.is_empty(), "{}", said(&damaged[0]));
        assert!(checkpoint.unwrap().about().step >= before);
    }
    all.clean().unwrap();
    assert!(names(&kept).iter().all(|name| name.starts_with("step-")), "{:?}", names(&kept));
}

#[test]
fn half_a_folder_under_its_own_name_is_no_checkpoint() {
    let (_held, place) = written();
    let whole = files(&place);
    for missing in whole.keys() {
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("state")).unwrap();
        for (name, bytes) in whole.iter().filter(|(name, _)| *name != missing) {
            fs::write(other.path().join(name), bytes).unwrap();
        }
        let error = Checkpoint::open(other.path()).map(drop).unwrap_err();
        assert!(said(&error).contains(missing.as_str()), "{missing}: {}", said(&error));
    }
    let error = Checkpoint::open(&place.join("none")).map(drop).unwrap_err();
    assert!(said(&error).contains("none/checkpoint.json: No such file"), "{}", said(&error));
}

#[test]
fn a_file_that_was_cut_is_seen_at_once() {
    let (_held, place) = written();
    for (name, bytes) in files(&place) {
        for length in 0..bytes.len() {
            fs::write(place.join(&name), &bytes[..length]).unwrap();
            let error = Checkpoint::open(&place).map(drop).unwrap_err();
            assert!(said(&error).contains(&name), "{name} of {length}: {}", said(&error));
        }
        fs::write(place.join(&name), [bytes.as_slice(), b"\n"].concat()).unwrap();
        assert!(Checkpoint::open(&place).is_err(), "{name} with a byte more");
        fs::write(place.join(&name), bytes).unwrap();
    }
    intact(&place).unwrap();
}

#[test]
fn a_byte_that_was_changed_is_found() {
    let (_held, place) = written();
    for (name, bytes) in files(&place) {
        for at in 0..bytes.len() {
            for bit in [0, 6] {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                fs::write(place.join(&name), changed).unwrap();
                // What is small enough is looked at when it is opened.
                let found = if name == "checkpoint.json" { Checkpoint::open(&place) } else { intact(&place) };
                let error = found.map(drop).unwrap_err();
                assert!(said(&error).contains(&name), "byte {at} of {name}: {}", said(&error));
            }
        }
        fs::write(place.join(&name), bytes).unwrap();
    }
    intact(&place).unwrap();
}

#[test]
fn another_version_is_left_to_another_muse() {
    let (_held, place) = written();
    let path = place.join("checkpoint.json");
    let text = fs::read_to_string(&path).unwrap();
    let sealed = |format: &str| {
        let text = text.replace("\"format\": 1", format);
        let (sealed, _) = text.rsplit_once(",\n  \"digest\"").unwrap();
        format!("{sealed},\n  \"digest\": \"b3:{}\"\n}}\n", blake3::hash(sealed.as_bytes()).to_hex())
    };
    // A digit that was flipped is damage, and no other muse's.
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 3")).unwrap();
    assert!(Checkpoint::open(&place).map(drop).unwrap_err().is_damage());
    fs::write(&path, sealed("\"format\": 0")).unwrap();
    assert!(Checkpoint::open(&place).map(drop).unwrap_err().is_damage());
    fs::write(&path, sealed("\"format\": 2, \"more\": 0")).unwrap();
    assert!(!Checkpoint::open(&place).map(drop).unwrap_err().is_damage());
    let error = said(&Checkpoint::open(&place).map(drop).unwrap_err());
    assert!(error.contains("format 2 is not known here, which is 1"), "{error}");
    assert!(error.contains("a newer muse wrote it"), "{error}");
}

#[test]
fn a_list_of_files_that_leads_elsewhere_is_refused() {
    let (_held, place) = written();
    let path = place.join("checkpoint.json");
    let text = fs::read_to_string(&path).unwrap();
    for name in ["../state.json", "/etc/passwd", "checkpoint.json", "state/../../x", ""] {
        let text = text.replace("state/state.json", name);
        // Sealed as muse seals it: whoever can write a folder can do that.
        let (sealed, _) = text.rsplit_once(",\n  \"digest\": \"").unwrap();
        let digest = blake3::hash(sealed.as_bytes()).to_hex();
        fs::write(&path, format!("{sealed},\n  \"digest\": \"b3:{digest}\"\n}}\n")).unwrap();
        let error = said(&Checkpoint::open(&place).map(drop).unwrap_err());
        assert!(error.contains(&format!("`{name}` is no file of a checkpoint")), "{error}");
    }
}

#[test]
fn a_head_that_lies_is_an_error() {
    let tensor =
        |offsets: &str, shape: &str| format!(r#""dtype":"F32","shape":{shape},"data_offsets":{offsets}"#);
    let one = |offsets: &str, shape: &str| format!(r#"{{"a":{{{}}}}}"#, tensor(offsets, shape));
    let two = |a: &str, b: &str| format!(r#"{{"a":{{{}}},"b":{{{}}}}}"#, tensor(a, "[1]"), tensor(b, "[1]"));
    let heads = [
        "".to_owned(),
        "[]".into(),
        "{".into(),
        "[".repeat(100_000),
        one("[0,8]", "[1]"),
        one("[0,4]", "[2]"),
        one("[4,8]", "[1]"),
        one("[8,0]", "[1]"),
        one("[0,4]", "[4294967296,4294967296]"),
        one("[0,18446744073709551615]", "[1]"),
        one("[0,99999999999999999999]", "[1]"),
        one("[0,-4]", "[1]"),
        one("[0,4000000000000]", "[1000000000000]"),
        one("[0,8]", "[2]").replace("F32", "F99"),
        two("[0,4]", "[0,4]"),
        two("[0,4]", "[2,6]"),
        two("[0,4]", "[8,12]"),
        r#"{"a":{"dtype":"F32","shape":[2]}}"#.into(),
    ];
    let folder = tempfile::tempdir().unwrap();
    let open = |bytes: &[u8]| {
        let path = folder.path().join("x.safetensors");
        fs::write(&path, bytes).unwrap();
        Tensors::open([path])
    };
    let file = |length: u64, head: &str| [&length.to_le_bytes(), head.as_bytes(), &[0; 8]].concat();
    for head in &heads {
        let error = said(&open(&file(head.len() as u64, head)).map(drop).unwrap_err());
        assert!(error.contains("x.safetensors: "), "{error}");
    }
    let good = one("[0,8]", "[2]");
    open(&file(good.len() as u64, &good)).unwrap();
    for length in [0, 1, good.len() as u64 + 1, good.len() as u64 + 9, 100_000_001, u64::MAX - 7, u64::MAX] {
        assert!(open(&file(length, &good)).is_err(), "a head of {length}");
    }
    assert!(open(b"1234567").is_err());
    // The same name in two files.
    let path = folder.path().join("y.safetensors");
    fs::write(&path, file(good.len() as u64, &good)).unwrap();
    let error = said(&Tensors::open([path.clone(), path]).map(drop).unwrap_err());
    assert!(error.contains("tensor `a` stands in a file before"), "{error}");
}

/// Ten, twenty and so on, with these validation losses.
fn kept(losses: &[f64]) -> (tempfile::TempDir, Checkpoints) {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::of(folder.path());
    for (step, loss) in (1..).zip(losses) {
        write(&all.place(step * 10), step * 10, *loss);
    }
    (folder, all)
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

fn steps(all: &Checkpoints) -> Vec<u64> {
    all.list(Look::Sizes).unwrap().iter().map(|kept| kept.step).collect()
}

#[test]
fn a_damaged_one_is_listed_and_the_one_before_is_taken() {
    let (_held, all) = kept(&[3.0, 2.0, 1.0, 1.0]);
    flip_last_byte(&all.place(40).join("model-00002-of-00002.safetensors"));
    fs::remove_file(all.place(30).join("state/state.json")).unwrap();
    let seen = |look| -> Vec<(u64, bool)> {
        all.list(look).unwrap().iter().map(|kept| (kept.step, kept.found.is_ok())).collect()
    };
    assert_eq!(seen(Look::Sizes), [(10, true), (20, true), (30, false), (40, true)]);
    assert_eq!(seen(Look::Content), [(10, true), (20, true), (30, false), (40, false)]);
    let (newest, damaged) = all.newest().unwrap();
    assert_eq!(newest.unwrap().about().step, 20);
    let damaged: Vec<String> = damaged.iter().map(said).collect();
    assert!(damaged[0].contains("step-000000040/model-00002"), "{damaged:?}");
    assert!(damaged[1].contains("step-000000030/state/state.json: it is missing"), "{damaged:?}");
    // Training goes on from 20 and writes 30 anew.
    write(&all.place(30), 30, 1.0);
    assert_eq!(all.newest().unwrap().0.unwrap().about().step, 30);
}

#[test]
fn the_last_and_the_best_are_kept() {
    let (_held, all) = kept(&[3.0, 1.0, 2.0, 1.0, 2.5]);
    assert_eq!(all.best().unwrap().unwrap().about().step, 20);
    assert_eq!(all.keep_last(2, &[]).unwrap(), [10, 30]);
    assert_eq!(steps(&all), [20, 40, 50]);
    // What cannot be read may be somebody's.
    fs::write(all.place(40).join("checkpoint.json"), "{}\n").unwrap();
    assert_eq!(all.keep_last(0, &[]).unwrap(), [50]);
    assert_eq!(steps(&all), [20, 40]);
}

#[test]
fn others_are_kept_on_demand_and_a_way_that_was_left_is_forgotten() {
    let (_held, all) = kept(&[3.0, 1.0, 2.0, 1.5, 2.5]);
    assert_eq!(all.keep_last(1, &[30]).unwrap(), [10, 40]);
    all.forget_from(40).unwrap();
    assert_eq!(steps(&all), [20, 30]);
}

#[test]
fn only_checkpoints_count_and_leftovers_go() {
    let (held, all) = kept(&[1.0]);
    for name in
        [".step-000000020.partial", ".step-000000010.going", "step-7", "step-000000007x", "logs", ".keep"]
    {
        fs::create_dir(held.path().join(name)).unwrap();
    }
    assert_eq!(steps(&all), [10]);
    all.clean().unwrap();
    assert_eq!(names(held.path()), [".keep", "logs", "step-000000007x", "step-000000010", "step-7"]);
    fs::rename(all.place(10), all.place(30)).unwrap();
    let (newest, damaged) = all.newest().unwrap();
    assert!(newest.is_none());
    assert!(
        said(&damaged[0]).contains("it is the checkpoint of step 10 under another name"),
        "{}",
        said(&damaged[0])
    );
    let nowhere = Checkpoints::of(&held.path().join("nowhere"));
    assert!(nowhere.newest().unwrap().0.is_none() && nowhere.keep_last(1, &[]).unwrap().is_empty());
    nowhere.clean().unwrap();
    assert_eq!(all.place(1_234_567_890_123).file_name().unwrap(), "step-1234567890123");
}

#[test]
fn some_rows_are_those_of_all_however_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("c");
    let (rows, columns) = (8, 40);
    let codes =
        |bytes: usize| (0..bytes).map(|at| [0b00_01_10_01, 0b10_10_00_01, 0b01_01_00_10][at % 3]).collect();
    let tensors = [
        (
            Tensor::new("f32", Dtype::F32, [rows, columns]),
            (0..320).flat_map(|at| (at as f32).to_le_bytes()).collect(),
        ),
        (
            Tensor::new("bf16", Dtype::BF16, [rows, columns]),
            (0..320_u16).flat_map(|at| (at << 7).to_le_bytes()).collect(),
        ),
        (Tensor::new("two", Dtype::U8, [rows / 4, columns]), codes(80)),
        (Tensor::new("two_scale", Dtype::F32, [1]), 0.5_f32.to_le_bytes().to_vec()),
        (Tensor::new("eight", Dtype::I8, [rows, columns]), (0..320).map(|at| at as u8).collect()),
        // 1, 2, 4 and so on, two for a row of 40.
        (
            Tensor::new("eight_scale", Dtype::F16, [rows, 2]),
            (0..16_u16).flat_map(|at| ((15 + at) << 10).to_le_bytes()).collect(),
        ),
        (
            Tensor::new("norm", Dtype::F32, [columns]),
            (0..40).flat_map(|at| (at as f32).to_le_bytes()).collect::<Vec<u8>>(),
        ),
    ];
    let mut writer = CheckpointWriter::create(&place).unwrap();
    let bytes = |tensor: &Tensor| {
        Ok::<_, ArtifactError>(tensors.iter().find(|(one, _)| one == tensor).unwrap().1.clone())
    };
    writer.model(&tensors.each_ref().map(|(tensor, _)| tensor.clone()), bytes).unwrap();
    writer.finish(facts(1, 1.0)).unwrap();
    let checkpoint = intact(&place).unwrap();
    let model = checkpoint.model();
    for (name, rows, width) in
        [("f32", 8, 40), ("bf16", 8, 40), ("two", 8, 40), ("eight", 8, 40), ("norm", 40, 1)]
    {
        let all = model.read_f32(name).unwrap();
        assert_eq!(all.len(), rows * width);
        for range in [0..rows, 0..1, 3..7, rows - 1..rows, 2..2] {
            let right = &all[range.start * width..range.end * width];
            assert_eq!(model.read_rows(name, range.clone()).unwrap(), right, "{name} {range:?}");
        }
        let error = model.read_rows(name, 1..rows + 1).unwrap_err();
        assert!(said(&error).contains("rows, and 1 to"), "{}", said(&error));
    }
    assert_eq!(model.read_two_bits("two").unwrap(), Some((codes(80), 0.5)));
    assert_eq!(model.read_two_bits("f32").unwrap(), None);
    assert!(model.read_two_bits("none").is_err());
}
