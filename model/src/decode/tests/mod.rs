//! A model in use is the model that was trained: what is kept changes no logit.
mod stored;

use super::{Cpu, Decoder, DeviceError, Kept, More, Room, Wanted, rows_of};
use crate::config::{Bk, Experts, Gate, Linear, Mixer, Mixers, Mla, Model, Round, Ttt, Views};
use crate::kernels::{Ops, with_threads};
use crate::net::{Batch, Net, Setting, Weight};
use burn::backend::Flex;
use burn::tensor::DType;
use proptest::prelude::*;

const VOCABULARY: usize = 61;
const CONTEXT: usize = 48;

/// A model of a kind, and the net of it.
fn model(change: impl FnOnce(&mut Model)) -> (Model, Net<Flex>) {
    let mut model = Model { kv_heads: Some(2), init_std: 0.2, ..Model::new(2, 32, 4, 40) };
    (model.vocab_size, model.scaled_init) = (Some(VOCABULARY), false);
    change(&mut model);
    if !model.any_mixer(Mixer::shares_keys) {
        model.kv_heads = None;
    }
    assert_eq!(model.check(), []);
    let shape = model.shape(1, CONTEXT);
    let weights = Weight::all(&shape);
    // Norms begin as ones, which would tell none from another.
    let net = Net::<Flex>::new(&model, &shape, 5, &Default::default()).changed(|at, weight| {
        if weights[at].shape.len() > 1 {
            return weight;
        }
        // Some begin as nothing.
        let noise = Flex::noise(weights[at].len(), at as u64, &Default::default());
        weight * (noise.clone() + 0.5) + (noise - 0.5).mul_scalar(0.1)
    });
    (model, net)
}

fn decoder(model: &Model, net: &Net<Flex>, slots: usize, kept: Kept) -> Decoder<Cpu> {
    let weights = Weight::all(&model.shape(1, CONTEXT));
    let flat = net.flat();
    let read = |weight: &Weight, rows| {
        let at = weights.iter().position(|one| one == weight).unwrap();
        Ok::<_, DeviceError>(rows_of(weight, &flat[at].to_data().to_vec::<f32>().unwrap(), rows))
    };
    Decoder::new(model, Room { slots, context: CONTEXT }, Cpu::new(kept), read).unwrap()
}

/// The logits of every token of a text, by the way that training takes.
fn right(model: &Model, net: &Net<Flex>, ids: &[u32]) -> Vec<f32> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let setting = Setting::new(model, CONTEXT, DType::F32, &Default::default());
    let starts: Vec<i32> = (0..ids.len())
        .map(|place| model.window.map_or(0, |window| (place + 1).saturating_sub(window) as i32))
        .collect();
    let places: Vec<i32> = (0..ids.len() as i32).collect();
    let batch = Batch::new(ids.len(), [&ids, &ids, &places, &starts], &Default::default());
    net.logits(&batch, &setting).into_data().to_vec().unwrap()
}

fn text(len: usize, seed: usize) -> Vec<u32> {
    (0..len).map(|at| ((at * at * 7 + at * seed + seed) % VOCABULARY) as u32).collect()
}

fn apart(got: &[f32], right: &[f32]) -> f32 {
    assert_eq!(got.len(), right.len());
    got.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Holds logits to the right ones. Where numbers are rounded to codes, one that lies between two may come to the other one, and moves a
/// little of all that sees it: there it is most of the rows that are the same.
#[track_caller]
fn same(model: &Model, got: &[f32], right: &[f32]) {
    let rows = || got.chunks(VOCABULARY).zip(right.chunks(VOCABULARY));
    let moved = rows().filter(|(got, right)| apart(got, right) >= 1e-4).count();
    let rounds = model.round() == Some(Round::Ternary);
    let (few, little) = if rounds { (rows().count() / 2, 0.1) } else { (0, 1e-4) };
    assert!(moved <= few && apart(got, right) < little, "{model:?}: {moved} rows by {}", apart(got, right));
}

fn kinds() -> Vec<(Model, Net<Flex>)> {
    let mut kinds = vec![
        model(|_| ()),
        model(|model| (model.tied, model.qk_norm) = (true, false)),
        model(|model| (model.window, model.kv_heads) = (Some(5), None)),
        model(|model| (model.head_width, model.kv_heads) = (Some(6), Some(1))),
        model(|model| model.linear = Some(Linear { low_rank: Some(7), round: None })),
        model(|model| model.linear = Some(Linear { low_rank: None, round: Some(Round::Int8) })),
        model(|model| model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) })),
        model(|model| model.linear = Some(Linear { low_rank: Some(9), round: Some(Round::Ternary) })),
    ];
    kinds.extend(mixers().chain(experts()).map(model));
    kinds
}

const MLA: Mla =
    Mla { rank: 10, value_rank: None, query_rank: None, nope_width: 6, rope_width: 4, bias: false };

/// What makes a model one with experts.
fn experts() -> impl Iterator<Item = fn(&mut Model)> {
    let all: [fn(&mut Model); 4] = [
        |model| model.experts = Some(Experts::new(5, 2)),
        |model| {
            let many =
                Experts { groups: 2, chosen_groups: Some(1), normed: Some(true), ..Experts::new(6, 2) };
            model.experts = Some(Experts { shared: 2, dense: 1, width: Some(9), ..many });
            (model.mixers, model.mla) = (Some(Mixers::all(Mixer::Mla)), Some(MLA));
        },
        |model| {
            let apart = Experts { gate: Gate::Sigmoid, scale: 1.5, bias_rate: 1e-3, ..Experts::new(4, 3) };
            model.experts = Some(apart);
            model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
        },
        |model| {
            model.experts = Some(Experts { shared: 1, ..Experts::new(3, 1) });
            model.linear = Some(Linear { low_rank: Some(4), round: Some(Round::Int8) });
        },
    ];
    all.into_iter()
}

/// What makes a model one of other mixers than attention.
fn mixers() -> impl Iterator<Item = fn(&mut Model)> {
    let all: [fn(&mut Model); 8] = [
        |model| (model.mixers, model.mla) = (Some(Mixers::all(Mixer::Mla)), Some(MLA)),
        |model| {
            (model.mixers, model.qk_norm, model.window) = (Some(Mixers::all(Mixer::Mla)), false, Some(7));
            model.mla = Some(Mla { value_rank: Some(12), bias: true, ..MLA });
        },
        |model| {
            model.mixers = Some(Mixers::all(Mixer::Mla));
            model.mla = Some(Mla { query_rank: Some(14), value_rank: Some(9), ..MLA });
            model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
        },
        |model| {
            (model.mixers, model.ttt) =
                (Some(Mixers::all(Mixer::Ttt)), Some(Ttt { rate: 0.6, ..Ttt::default() }));
        },
        |model| {
            (model.mixers, model.head_width) = (Some(Mixers::all(Mixer::Ttt)), Some(6));
            model.ttt = Some(Ttt { rate: 0.1, views: Views::One });
            model.linear = Some(Linear { low_rank: None, round: Some(Round::Ternary) });
        },
        |model| {
            (model.mixers, model.bk) = (Some(Mixers::all(Mixer::Bk)), Some(Bk { chains: 3 }));
            model.head_bias = true;
        },
        |model| {
            (model.mixers, model.kv_heads) = (Some(Mixers::all(Mixer::Hyperbolic)), Some(2));
            model.window = Some(20);
        },
        |model| {
            model.mixers = Some(vec![Mixer::Bk, Mixer::Hyperbolic].try_into().unwrap());
            model.linear = Some(Linear { low_rank: Some(3), round: None });
        },
    ];
    all.into_iter()
}

#[test]
fn every_place_has_the_logits_of_the_whole_text() {
    for (model, net) in kinds() {
        for len in 1..=CONTEXT {
            let ids = text(len, 3);
            let right = right(&model, &net, &ids);
            // All at once, token by token, and in parts of any length.
            for part in [len, 1, 3] {
                let mut decoder = decoder(&model, &net, 1, Kept::F32);
                let parts = ids.chunks(part);
                let got: Vec<f32> = parts
                    .flat_map(|ids| decoder.run(&[More { slot: 0, ids, wanted: Wanted::All }]).unwrap())
                    .collect();
                same(&model, &got, &right);
                assert_eq!(decoder.held(0), len);
            }
        }
    }
}

#[test]
fn texts_side_by_side_know_nothing_of_each_other() {
    for (model, net) in kinds() {
        let texts = [text(11, 1), text(3, 2), text(CONTEXT, 9)];
        let mut decoder = decoder(&model, &net, 3, Kept::F32);
        let mut got = vec![Vec::new(); 3];
        let mut at = [0; 3];
        // Parts of other lengths for each, in other orders; and one of whom nothing is wanted.
        for round in 0.. {
            let next = [1, 2, 5].map(|part| part + round % 3);
            let slots: Vec<usize> =
                (0..3).map(|slot| (slot + round) % 3).filter(|slot| at[*slot] < texts[*slot].len()).collect();
            if slots.is_empty() {
                break;
            }
            let more: Vec<More<'_>> = slots
                .iter()
                .map(|slot| {
                    let ids = &texts[*slot][at[*slot]..texts[*slot].len().min(at[*slot] + next[*slot])];
                    More { slot: *slot, ids, wanted: Wanted::All }
                })
                .collect();
            let mut rows = decoder.run(&more).unwrap().into_iter();
            for more in &more {
                at[more.slot] += more.ids.len();
                got[more.slot].extend(rows.by_ref().take(more.ids.len() * VOCABULARY));
            }
        }
        for (got, text) in got.iter().zip(&texts) {
            same(&model, got, &right(&model, &net, text));
        }
    }
}

#[test]
fn what_is_forgotten_is_written_over() {
    let (model, net) = model(|_| ());
    let (first, second) = (text(20, 1), [text(8, 1), text(12, 5)].concat());
    let mut decoder = decoder(&model, &net, 2, Kept::F32);
    decoder.run(&[More { slot: 1, ids: &first, wanted: Wanted::Nothing }]).unwrap();
    assert_eq!(decoder.keep(1, 8), 8);
    let got = decoder.run(&[More { slot: 1, ids: &second[8..], wanted: Wanted::Last }]).unwrap();
    let right = right(&model, &net, &second);
    assert!(apart(&got, &right[right.len() - VOCABULARY..]) < 1e-4);
    assert_eq!((decoder.held(0), decoder.held(1)), (0, 20));
}

#[test]
fn what_goes_along_a_text_is_forgotten_as_a_whole() {
    for mixer in [Mixer::Ttt, Mixer::Bk] {
        let (model, net) =
            model(|model| model.mixers = Some(vec![mixer, Mixer::Attention].try_into().unwrap()));
        let (first, second) = (text(20, 1), text(20, 5));
        let mut decoder = decoder(&model, &net, 2, Kept::F32);
        let mut run = |ids, wanted| decoder.run(&[More { slot: 1, ids, wanted }]).unwrap();
        run(&first, Wanted::Nothing);
        assert_eq!((decoder.keep(1, 20), decoder.keep(1, 19)), (20, 0));
        let got = decoder.run(&[More { slot: 1, ids: &second, wanted: Wanted::All }]).unwrap();
        same(&model, &got, &right(&model, &net, &second));
    }
}

#[test]
fn fewer_bytes_a_weight_lose_little() {
    let (model, net) = model(|_| ());
    let ids = text(30, 4);
    let right = right(&model, &net, &ids);
    let size = right.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (kept, least, most) in [(Kept::F32, 0.0, 1e-5), (Kept::Bf16, 1e-4, 0.03), (Kept::Int8, 1e-4, 0.08)] {
        let mut decoder = decoder(&model, &net, 1, kept);
        let got = decoder.run(&[More { slot: 0, ids: &ids, wanted: Wanted::All }]).unwrap();
        let off = apart(&got, &right) / size;
        assert!((least..most).contains(&off), "{kept:?}: {off}");
    }
}

#[test]
fn threads_change_no_bit() {
    let (model, net) = model(|model| model.window = Some(9));
    let ids = text(40, 4);
    let run = |threads| {
        with_threads(threads, || {
            let mut decoder = decoder(&model, &net, 2, Kept::Int8);
            let mut all = decoder.run(&[More { slot: 1, ids: &ids[..30], wanted: Wanted::All }]).unwrap();
            for id in &ids[30..] {
                let more = |slot| More { slot, ids: std::slice::from_ref(id), wanted: Wanted::Last };
                all.extend(decoder.run(&[more(0), more(1)]).unwrap());
            }
            all.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    assert_eq!(run(1), run(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However a text comes, and whatever comes beside it, on the CPU its logits are the same to the bit.
    #[test]
    fn any_cut_is_as_good(len in 1_usize..CONTEXT, cuts in prop::collection::vec(1_usize..9, 1..20), window: bool, rounds: bool, kind in 0_usize..16) {
        let (model, net) = model(|model| {
            match mixers().nth(kind) {
                Some(change) => change(model),
                None => {
                    model.window = window.then_some(7);
                    model.linear = rounds.then_some(Linear { low_rank: Some(9), round: Some(Round::Ternary) });
                }
            }
        });
        let (ids, other) = (text(len, 6), text(len, 8));
        for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
            let all = |slot, ids| More { slot, ids, wanted: Wanted::All };
            let right = decoder(&model, &net, 2, kept).run(&[all(0, &ids)]).unwrap();
            let mut decoder = decoder(&model, &net, 2, kept);
            let (mut got, mut at, mut cuts) = (Vec::new(), 0, cuts.iter().cycle());
            while at < len {
                let end = len.min(at + cuts.next().unwrap());
                let beside = More { wanted: Wanted::Nothing, ..all(0, &other[at..end]) };
                got.extend(decoder.run(&[beside, all(1, &ids[at..end])]).unwrap());
                at = end;
            }
            let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert!(bits(&got) == bits(&right), "{:?}", kept);
        }
    }
}
