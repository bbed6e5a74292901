//! What is wrong with mixers: sizes that do not go together, and fields that no block has a use for.
use super::{Mixer, Mla};
use crate::config::{Model, Problem, Rope};

/// No row is wider.
const WIDEST: usize = 1 << 17;

impl Model {
    /// What is wrong with its mixers, where each size by itself is right.
    pub(in crate::config) fn check_mixers(&self, problems: &mut Vec<Problem>) {
        if let Some(mixers) = self.mixers.filter(|mixers| mixers.len() > self.layers) {
            let message = format!("{} mixers in turn, and there are {} layers", mixers.len(), self.layers);
            problems.push(Problem::new("/mixers", message, format!("{} at most", self.layers)));
        }
        self.sections(problems);
        self.of_no_use(problems);
        if let Some(mla) = self.mla {
            self.check_mla(mla, problems);
        }
        if let Some(ttt) = self.ttt.filter(|ttt| !(1e-6..=1.0).contains(&ttt.rate)) {
            let help = "1e-6 to 1; 0.1 is usual";
            problems.push(Problem::new("/ttt/rate", format!("`ttt.rate` is {}", ttt.rate), help));
        }
        let chains = self.bk.map_or(1, |bk| bk.chains);
        if !(1..=1024).contains(&chains) || self.heads * chains > WIDEST / 2 {
            let message = format!("{} heads of {chains} chains", self.heads);
            problems.push(Problem::new("/bk/chains", message, format!("{} chains at most", WIDEST / 2)));
        }
    }

    /// Sections are there for mixers that are.
    fn sections(&self, problems: &mut Vec<Problem>) {
        let has = |mixer| self.any_mixer(|other| other == mixer);
        if has(Mixer::Mla) && self.mla.is_none() {
            let help = "write `mla: { rank: …, nope_width: …, rope_width: … }`";
            problems.push(Problem::new("/mixers", "`mla` has sizes of its own, and they are missing", help));
        }
        let mut needs = |pointer, given: bool, mixer: Mixer| {
            if given && !has(mixer) {
                let name = mixer.name();
                let message = format!("`{name}` is for blocks that are `{name}`, and none is");
                let help = format!("write `mixers: [{name}]`, or leave it out");
                problems.push(Problem::new(pointer, message, help));
            }
        };
        needs("/mla", self.mla.is_some(), Mixer::Mla);
        needs("/ttt", self.ttt.is_some(), Mixer::Ttt);
        needs("/bk", self.bk.is_some(), Mixer::Bk);
    }

    /// What is written, and changes nothing.
    fn of_no_use(&self, problems: &mut Vec<Problem>) {
        let mut idle = |pointer: &'static str, written: bool, used: bool, what: &str| {
            if written && !used {
                let name = pointer.trim_start_matches('/');
                let message = format!("`{name}` is for blocks with {what}, and there are none");
                problems.push(Problem::new(pointer, message, "leave it out"));
            }
        };
        let any = |is: fn(Mixer) -> bool| self.any_mixer(is);
        let looks = any(Mixer::looks_back);
        idle("/kv_heads", self.kv_heads.is_some(), any(Mixer::shares_keys), "heads that share keys");
        idle("/head_width", self.head_width.is_some(), any(|mixer| mixer != Mixer::Bk), "heads of a width");
        idle("/window", self.window.is_some(), looks, "attention");
        idle("/attention_dropout", self.attention_dropout > 0.0, looks, "attention");
        idle("/rope", self.rope != Rope::default(), looks, "attention");
        idle("/qk_norm", !self.qk_norm, looks, "norms of queries and keys");
    }

    fn check_mla(&self, mla: Mla, problems: &mut Vec<Problem>) {
        let mut within = |pointer: &'static str, value: usize, most: usize| {
            if !(1..=most).contains(&value) {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                problems.push(Problem::new(pointer, format!("`{name}` is {value}"), format!("1 to {most}")));
            }
        };
        within("/mla/rank", mla.rank, WIDEST);
        within("/mla/value_rank", mla.value_rank.unwrap_or(1), WIDEST);
        within("/mla/query_rank", mla.query_rank.unwrap_or(1), WIDEST);
        within("/mla/nope_width", mla.nope_width, 1 << 13);
        within("/mla/rope_width", mla.rope_width, 1 << 13);
        if !mla.rope_width.is_multiple_of(2) {
            let message =
                format!("{} numbers of a head, and positions turn pairs of its numbers", mla.rope_width);
            problems.push(Problem::new("/mla/rope_width", message, "an even number"));
        }
        // The smallest product bounds both factors.
        let across = self.heads.checked_mul(mla.nope_width.saturating_add(mla.rope_width));
        if across.is_none_or(|across| across > WIDEST) {
            let message = format!("{} heads of {} and {}", self.heads, mla.nope_width, mla.rope_width);
            problems.push(Problem::new("/mla", message, format!("{WIDEST} numbers at most")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bk, Mixers, Ttt};

    fn mla() -> Mla {
        Mla { rank: 8, value_rank: None, query_rank: None, nope_width: 8, rope_width: 8, bias: false }
    }

    fn of(mixer: Mixer) -> Model {
        let mla = (mixer == Mixer::Mla).then(mla);
        Model { mixers: Some(Mixers::all(mixer)), mla, ..Model::new(2, 64, 4, 128) }
    }

    fn fields(model: &Model) -> Vec<String> {
        model.check().iter().map(Problem::field).collect()
    }

    #[test]
    fn every_mixer_goes_alone_and_in_turn() {
        for mixer in [Mixer::Attention, Mixer::Mla, Mixer::Ttt, Mixer::Bk, Mixer::Hyperbolic] {
            assert_eq!(of(mixer).check(), [], "{mixer:?}");
        }
        let turn = Mixers::try_from(vec![Mixer::Bk, Mixer::Attention]).unwrap();
        let hybrid = Model { mixers: Some(turn), window: Some(8), kv_heads: Some(2), ..of(Mixer::Bk) };
        assert_eq!(hybrid.check(), []);
        let mixers: Vec<_> = (0..5).map(|at| hybrid.mixer(at)).collect();
        assert_eq!(mixers, [Mixer::Bk, Mixer::Attention, Mixer::Bk, Mixer::Attention, Mixer::Bk]);
        assert_eq!(fields(&Model { layers: 1, ..hybrid }), ["mixers"]);
    }

    #[test]
    fn a_section_is_for_a_mixer_that_is_there() {
        assert_eq!(fields(&Model { mla: None, ..of(Mixer::Mla) }), ["mixers"]);
        assert_eq!(fields(&Model { mla: Some(mla()), ..of(Mixer::Attention) }), ["mla"]);
        assert_eq!(fields(&Model { ttt: Some(Ttt::default()), ..of(Mixer::Bk) }), ["ttt"]);
        assert_eq!(fields(&Model { bk: Some(Bk::default()), ..of(Mixer::Ttt) }), ["bk"]);
    }

    #[test]
    fn what_changes_nothing_is_an_error() {
        let theta = Rope { theta: 1e6, ..Rope::default() };
        let all = |mixer| Model {
            kv_heads: Some(2),
            head_width: Some(16),
            window: Some(8),
            attention_dropout: 0.1,
            rope: theta.clone(),
            qk_norm: false,
            ..of(mixer)
        };
        assert_eq!(fields(&all(Mixer::Attention)), [""; 0]);
        assert_eq!(fields(&all(Mixer::Mla)), ["kv_heads"]);
        assert_eq!(fields(&all(Mixer::Hyperbolic)), [""; 0]);
        let rest = ["window", "attention_dropout", "rope", "qk_norm"];
        assert_eq!(fields(&all(Mixer::Ttt)), [&["kv_heads"][..], &rest].concat());
        assert_eq!(fields(&all(Mixer::Bk)), [&["kv_heads", "head_width"][..], &rest].concat());
    }

    #[test]
    fn sizes_have_bounds() {
        let mla = |change: fn(&mut Mla)| {
            let mut mla = mla();
            change(&mut mla);
            fields(&Model { mla: Some(mla), ..of(Mixer::Mla) })
        };
        assert_eq!(mla(|mla| mla.rope_width = 7), ["mla.rope_width"]);
        assert_eq!(mla(|mla| (mla.rank, mla.value_rank) = (0, Some(0))), ["mla.rank", "mla.value_rank"]);
        assert_eq!(mla(|mla| mla.nope_width = 1 << 13), [""; 0]);
        assert_eq!(mla(|mla| (mla.nope_width, mla.rope_width) = (usize::MAX, 2)), ["mla.nope_width", "mla"]);
        let ttt = |rate| fields(&Model { ttt: Some(Ttt { rate, ..Ttt::default() }), ..of(Mixer::Ttt) });
        assert_eq!((ttt(0.0), ttt(1.0)), (vec!["ttt.rate".into()], vec![]));
        let bk = |chains| fields(&Model { bk: Some(Bk { chains }), ..of(Mixer::Bk) });
        assert_eq!((bk(0), bk(1024)), (vec!["bk.chains".into()], vec![]));
    }
}
