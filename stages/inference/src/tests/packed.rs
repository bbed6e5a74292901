//! Models of three values in files: as they are stored they are what was trained, and what is damaged is an error.
use super::{TOKENIZER, config, folder};
use crate::engine::Device;
use crate::{Engine, InferenceError, Kept, More, Room, Source, Wanted, load};
use burn::backend::Flex;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{CheckpointWriter, Dtype, Facts, Tensor, Weights, scale_of, two_bits};
use muse_model::acting::rounded;
use muse_model::config::{Experts, Linear, Mixer, Mla, Model, Round};
use muse_model::kernels::Rounding;
use muse_model::net::{Net, Role, Weight};
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

const CONTEXT: usize = 32;

/// Writes a model of three values, as it was trained or packed.
fn write(model: &Model, place: &Path, packed: bool) {
    let linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
    let model = Model { linear, ..model.clone() };
    let shape = model.shape(1, CONTEXT);
    let net = Net::<Flex>::new(&model, &shape, 7, &Default::default());
    let mut layout = Vec::new();
    let mut bytes = HashMap::new();
    let mut put = |tensor: Tensor, of: Vec<u8>| {
        bytes.insert(tensor.name.clone(), of);
        layout.push(tensor);
    };
    let floats = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    for (weight, numbers) in Weight::all(&shape).iter().zip(net.flat()) {
        let numbers: Vec<f32> = numbers.to_data().to_vec().unwrap();
        if packed && weight.role == Role::Matrix {
            let [rows, columns] = weight.shape[..] else { panic!("a matrix") };
            let (codes, size) = two_bits(&rounded(numbers, columns, Rounding::Ternary), columns).unwrap();
            put(Tensor::new(&weight.name, Dtype::U8, [rows / 4, columns]), codes);
            put(Tensor::new(scale_of(&weight.name), Dtype::F32, [1]), floats(&[size]));
        } else {
            put(Tensor::new(&weight.name, Dtype::F32, weight.shape.clone()), floats(&numbers));
        }
    }
    let mut writer = CheckpointWriter::create(place).unwrap();
    writer.model(&layout, |tensor| Ok::<_, ArtifactError>(bytes[&tensor.name].clone())).unwrap();
    let tokenizer = Some(TOKENIZER.digest().to_owned());
    writer
        .finish(Facts { config: serde_json::to_value(&model).unwrap(), tokenizer, ..Default::default() })
        .unwrap();
    fs::create_dir(place.join("tokenizer")).unwrap();
    fs::copy(folder().path().join("tokenizer.json"), place.join("tokenizer/tokenizer.json")).unwrap();
}

fn opened(place: &Path) -> Result<Box<dyn Engine>, InferenceError> {
    let Source { model, tensors, .. } = Source::open(place, None, Weights::Last)?;
    load(&model, &tensors, Device::Cpu, Kept::Int8, Room { slots: 1, context: CONTEXT })
}

fn logits(place: &Path) -> Vec<u32> {
    let ids: Vec<u32> = (0..20).map(|at| at * at % 300).collect();
    let logits = opened(place).unwrap().run(&[More { slot: 0, ids: &ids, wanted: Wanted::All }]).unwrap();
    logits.into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_packed_model_is_the_one_that_was_trained_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mla =
        Mla { rank: 8, value_rank: Some(12), query_rank: None, nope_width: 4, rope_width: 4, bias: true };
    let mixed = |mixer, mla| Model {
        mixers: Some(vec![mixer, Mixer::Attention].try_into().unwrap()),
        mla,
        ..config(CONTEXT)
    };
    let experts = Some(Experts { shared: 1, bias_rate: 1e-3, ..Experts::new(4, 2) });
    let experts = Model { experts, ..config(CONTEXT) };
    let models = [config(CONTEXT), mixed(Mixer::Mla, Some(mla)), mixed(Mixer::Ttt, None), experts];
    for (at, model) in models.iter().enumerate() {
        let [trained, packed] = ["trained", "packed"].map(|name| folder.path().join(format!("{name} {at}")));
        write(model, &trained, false);
        write(model, &packed, true);
        assert!(logits(&packed) == logits(&trained), "{model:?}");
    }
}

#[test]
fn a_packed_model_that_is_damaged_or_cut_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("packed");
    write(&config(CONTEXT), &place, true);
    let path = place.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let head = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let info: serde_json::Value = serde_json::from_slice(&bytes[8..head as usize]).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let at = |name: &str| head + info[name]["data_offsets"][0].as_u64().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for (place_of, wrong, says) in [
        (at(name) + 3, &[0b11_00_00_00][..], "two bits that stand for none"),
        (at(&scale_of(name)), &f32::NAN.to_le_bytes()[..], "the size of its numbers is NaN"),
        (at(&scale_of(name)), &f32::INFINITY.to_le_bytes()[..], "the size of its numbers is inf"),
    ] {
        file.write_all_at(wrong, place_of).unwrap();
        let error = opened(&place).err().expect("it is damaged").to_string();
        assert!(error.contains(says) && error.contains(name), "{error}");
        file.write_all_at(&bytes[place_of as usize..][..wrong.len()], place_of).unwrap();
    }
    assert!(opened(&place).is_ok());
    // Cut before it is opened, and while it is.
    let Source { model, tensors, .. } = Source::open(&place, None, Weights::Last).unwrap();
    for len in [bytes.len() as u64 - 1, bytes.len() as u64 / 2, head] {
        file.set_len(len).unwrap();
        assert!(opened(&place).is_err());
        let room = Room { slots: 1, context: CONTEXT };
        assert!(load(&model, &tensors, Device::Cpu, Kept::Int8, room).is_err());
    }
}
