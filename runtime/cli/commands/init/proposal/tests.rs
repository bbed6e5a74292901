//! What holds for all answers: it fits, it grows with the machine, and sums are right.
use super::*;
use crate::commands::init::answers::Answers;
use crate::commands::init::data::{Class, Source, What};
use crate::commands::init::hardware::{Found, Hardware};

const GIB: u64 = 1 << 30;

fn text(name: &str, class: Class, bytes: Option<u64>) -> Source {
    let what = What::Files(format!("../{name}"));
    Source { name: name.into(), class, what, set: None, bytes, one_document: false }
}

fn machine(gpu: bool, memory: u64) -> Hardware {
    let found =
        if gpu { Found::of(16, 64 * GIB, &[("NVIDIA H100", memory)]) } else { Found::of(8, memory, &[]) };
    found.choose(&Answers::default()).unwrap()
}

fn real(change: impl FnOnce(&mut Answers)) -> Answers {
    let mut answers = Answers { goal: Some(Goal::Real), languages: vec![Language::En], ..Answers::default() };
    change(&mut answers);
    answers
}

fn of(answers: &Answers, hardware: &Hardware, bytes: Option<u64>) -> Proposal {
    propose(answers, hardware, vec![text("a", Class::General, bytes)], Vec::new()).unwrap()
}

/// Many answers, each value by turns.
fn many() -> impl Iterator<Item = Answers> {
    let goals = [Goal::Try, Goal::Real];
    goals.into_iter().flat_map(|goal| {
        (0..60_u64).map(move |turn| {
            let some = |every: u64, value: u64| (turn % every == 0).then_some(value);
            real(|all| {
                all.goal = Some(goal);
                all.share = [None, Some(0.1), Some(0.5), Some(1.0)][(turn % 4) as usize];
                all.context = some(3, [64, 100, 1024, 8192][(turn / 3 % 4) as usize]);
                all.vocab = some(5, 300 + turn * 777);
                all.batch_tokens = some(7, 1 << (turn % 22));
                all.tokens = some(11, 1 << (10 + turn % 24));
                all.micro_batch = some(13, 1);
                all.time = some(2, 60 << (turn % 14));
            })
        })
    })
}

#[test]
fn a_proposal_takes_no_more_than_it_may() {
    for answers in many() {
        for (gpu, memory) in [(false, 2), (false, 16), (false, 256), (true, 8), (true, 24), (true, 141)] {
            let hardware = machine(gpu, memory * GIB);
            let proposal = of(&answers, &hardware, Some(1 << 34));
            let takes = proposal.fit.cost.training.total;
            assert_eq!(proposal.fit.fits, takes <= proposal.memory(), "{answers:?} {memory}");
            // Only where even the smallest model is too large does it not fit, and then it says so.
            let smallest = proposal.sized.model.layers == 4;
            assert!(
                proposal.fit.fits || smallest && !proposal.notes.is_empty(),
                "{answers:?} {memory} {proposal:?}"
            );
            assert!(proposal.batch_tokens >= proposal.context && proposal.steps() >= 1);
            assert!(
                proposal.fit.micro_batch * proposal.context
                    <= proposal.batch_tokens.max(proposal.context) * 2
            );
            let model = &proposal.sized.model;
            assert_eq!(
                (model.check(), model.width % model.heads, model.heads % model.kv_heads()),
                (vec![], 0, 0)
            );
            assert!(proposal.seconds.is_finite() && proposal.seconds > 0.0);
        }
    }
}

#[test]
fn more_memory_more_time_and_more_text_never_make_it_smaller() {
    let size = |memory: u64, time: u64, bytes: u64, gpu: bool| {
        let answers = real(|all| all.time = Some(time));
        of(&answers, &machine(gpu, memory), Some(bytes)).sized.parameters()
    };
    for gpu in [false, true] {
        let by_memory: Vec<u64> = (28..42).map(|power| size(1 << power, 1 << 30, 1 << 50, gpu)).collect();
        let by_time: Vec<u64> = (8..34).map(|power| size(1 << 40, 1 << power, 1 << 50, gpu)).collect();
        let by_text: Vec<u64> = (20..50).map(|power| size(1 << 40, 1 << 40, 1 << power, gpu)).collect();
        for row in [by_memory, by_time, by_text] {
            assert!(row.is_sorted(), "{row:?}");
            assert!(row.first() < row.last(), "{row:?}");
        }
    }
}

#[test]
fn for_real_twenty_tokens_are_learned_for_each_parameter_and_text_is_not_worn_out() {
    let hardware = machine(true, 80 * GIB);
    let plenty = of(&real(|_| ()), &hardware, None);
    let each = plenty.tokens as f64 / plenty.sized.parameters() as f64;
    assert!((19.0..21.0).contains(&each) && plenty.seconds <= 1.05 * 86_400.0, "{each} {plenty:?}");
    let little = of(&real(|_| ()), &hardware, Some(3_000_000));
    assert!(little.tokens <= 3_100_000 && little.sized.name == Some("tiny_1m"), "{little:?}");
    // What is asked for is done, and its time is told.
    let asked = of(&real(|all| all.model = Some("7b".into())), &hardware, None);
    assert_eq!((asked.sized.name, asked.tokens), (Some("7b"), 140_000_000_000));
    assert!(asked.notes.iter().any(|note| note.starts_with("training takes")), "{:?}", asked.notes);
    let short = of(&real(|all| (all.model, all.time) = (Some("7b".into()), Some(3600))), &hardware, None);
    assert!(short.seconds <= 1.05 * 3600.0, "{short:?}");
}

#[test]
fn a_benchmark_is_the_same_whatever_the_machine_and_its_data() {
    let answers = real(|all| all.goal = Some(Goal::Benchmark));
    let values = |hardware: &Hardware, bytes| {
        let proposal = of(&answers, hardware, bytes);
        let Proposal { vocab, context, tokens, batch_tokens, lr, seed, fit, .. } = proposal;
        (
            proposal.sized.name,
            vocab,
            context,
            tokens,
            batch_tokens,
            fit.micro_batch,
            fit.int8,
            lr.to_bits(),
            seed,
        )
    };
    let large = values(&machine(true, 80 * GIB), None);
    assert_eq!(large, values(&machine(true, 6 * GIB), Some(1000)));
    assert_eq!((large.0, large.3, large.4), (Some("125m"), 2_500_000_000, 1 << 19));
    assert_eq!(values(&machine(false, 4 * GIB), None), values(&machine(false, 512 * GIB), Some(5)));
}

#[test]
fn a_text_without_a_share_is_not_fetched() {
    let mut answers = real(|_| ());
    answers.mix = Some("a=3,b=1".parse().unwrap());
    let texts = ["a", "b", "c"].map(|name| text(name, Class::General, Some(GIB))).to_vec();
    let proposal = propose(&answers, &machine(false, 8 * GIB), texts, Vec::new()).unwrap();
    let shares: Vec<_> =
        proposal.texts.iter().map(|taken| (taken.source.name.as_str(), taken.share)).collect();
    assert_eq!(shares, [("a", 0.75), ("b", 0.25)]);
}
