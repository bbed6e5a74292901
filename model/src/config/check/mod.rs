//! What no schema can say of a model: how its sizes go together, and whether it goes with the data.
mod rope;

use super::{Mixer, Model};
use std::ops::RangeInclusive;

/// Something of a model that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Which field, as a JSON pointer such as `/rope/theta`.
    pub pointer: &'static str,
    /// What is wrong, naming the value.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    pub(crate) fn new(pointer: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { pointer, message: message.into(), help: help.into() }
    }

    /// The field as messages name it: `rope.theta`.
    pub fn field(&self) -> String {
        self.pointer.trim_start_matches('/').replace('/', ".")
    }
}

impl Model {
    /// All that is wrong with it.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.outside();
        // What goes together is judged where each by itself is right.
        if problems.is_empty() {
            self.heads_fit(&mut problems);
        }
        if problems.is_empty() {
            self.check_mixers(&mut problems);
            self.check_experts(&mut problems);
        }
        if problems.is_empty() {
            self.check_linear(&mut problems);
            self.check_embedding(&mut problems);
        }
        self.rope_fits(&mut problems);
        problems
    }

    /// What is wrong with it for data of this vocabulary and of sequences of this length.
    pub fn check_data(&self, vocab_size: usize, context: usize) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(own) = self.vocab_size.filter(|own| *own < vocab_size) {
            let message = format!("the model has {own} tokens, and the data's tokenizer {vocab_size}");
            let help = format!("write `vocab_size: {vocab_size}` or more, or leave it out");
            problems.push(Problem::new("/vocab_size", message, help));
        }
        if let Some(own) = self.context.filter(|own| *own != context) {
            let longer = if own > context { "longer" } else { "shorter" };
            let message = format!("a context of {own} is {longer} than that of the packed data, {context}");
            let help = format!("leave `context` out, or pack with `context: {own}`");
            problems.push(Problem::new("/context", message, help));
        }
        problems
    }

    /// Numbers that are out of bounds, whatever the others are. The largest sizes are so small that no sum of bytes
    /// or operations leaves 64 bits.
    fn outside(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut whole = |pointer, value: Option<usize>, most: usize| {
            if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
                let name = pointer_name(pointer);
                problems.push(Problem::new(pointer, format!("`{name}` is {value}"), format!("1 to {most}")));
            }
        };
        whole("/vocab_size", self.vocab_size, 1 << 22);
        whole("/layers", Some(self.layers), 1 << 10);
        whole("/width", Some(self.width), 1 << 17);
        whole("/heads", Some(self.heads), 1 << 12);
        whole("/kv_heads", self.kv_heads, 1 << 12);
        whole("/head_width", self.head_width, 1 << 13);
        whole("/ffn", Some(self.ffn), 1 << 20);
        whole("/context", self.context, 1 << 27);
        whole("/window", self.window, usize::MAX);
        let mut share = |pointer, value: f64, right: RangeInclusive<f64>, help: &str| {
            if !right.contains(&value) {
                problems.push(Problem::new(pointer, format!("`{}` is {value}", pointer_name(pointer)), help));
            }
        };
        // A row of zeros would be divided by nothing.
        share("/norm_eps", self.norm_eps, 1e-12..=0.1, "1e-12 to 0.1; 1e-6 is usual");
        share("/dropout", self.dropout, 0.0..=0.9, "0 to 0.9");
        share("/attention_dropout", self.attention_dropout, 0.0..=0.9, "0 to 0.9");
        // Weights that are all zero learn nothing, or all the same.
        share("/init_std", self.init_std, 1e-6..=1.0, "1e-6 to 1; 0.02 is usual");
        problems
    }

    fn heads_fit(&self, problems: &mut Vec<Problem>) {
        let Self { width, heads, .. } = *self;
        let (kv_heads, head_width) = (self.kv_heads(), self.head_width());
        let turned = self.any_mixer(Mixer::shares_keys);
        if !self.any_mixer(|mixer| mixer != Mixer::Bk) {
            return;
        }
        if self.head_width.is_none() && !width.is_multiple_of(heads) {
            let message = format!("a width of {width} does not divide by {heads} heads");
            let help = match near_divisor(width, heads) {
                Some(near) => format!("{near} heads would do, or write `head_width`"),
                None => "write `head_width`".to_owned(),
            };
            problems.push(Problem::new("/heads", message, help));
        } else if turned && !head_width.is_multiple_of(2) {
            let pointer = if self.head_width.is_some() { "/head_width" } else { "/heads" };
            let message = format!("a head is {head_width} wide, and positions turn pairs of its numbers");
            problems.push(Problem::new(pointer, message, "an even number"));
        }
        if heads * head_width > 1 << 17 {
            let message = format!("{heads} heads of {head_width} are {} wide", heads * head_width);
            problems.push(Problem::new("/heads", message, format!("{} at most", 1 << 17)));
        }
        if !heads.is_multiple_of(kv_heads) {
            let message = format!("{heads} heads cannot share {kv_heads} heads of keys and values evenly");
            let help = match near_divisor(heads, kv_heads) {
                Some(near) => format!("{near} would do: `heads` must be a multiple of `kv_heads`"),
                None => "`heads` must be a multiple of `kv_heads`".to_owned(),
            };
            problems.push(Problem::new("/kv_heads", message, help));
        }
    }
}

fn pointer_name(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// The number nearest to `wanted` that divides `whole`, for a hint.
fn near_divisor(whole: usize, wanted: usize) -> Option<usize> {
    (1..=whole.min(wanted.saturating_mul(2)))
        .filter(|part| whole.is_multiple_of(*part))
        .min_by_key(|part| part.abs_diff(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn good() -> Model {
        Model::new(2, 768, 12, 2048)
    }

    /// The fields and messages of what is wrong after a change.
    pub(super) fn wrong(change: impl FnOnce(&mut Model)) -> Vec<(String, String, String)> {
        let mut model = good();
        change(&mut model);
        model.check().into_iter().map(|problem| (problem.field(), problem.message, problem.help)).collect()
    }

    /// The one thing that is wrong after a change.
    pub(super) fn one(change: impl FnOnce(&mut Model)) -> (String, String, String) {
        let mut all = wrong(change);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_model_that_fits_has_no_problems() {
        assert_eq!(good().check(), []);
        assert!(wrong(|model| (model.kv_heads, model.head_width) = (Some(4), Some(10))).is_empty());
        assert!(wrong(|model| (model.norm_eps, model.init_std) = (1e-12, 1e-6)).is_empty());
        assert!(wrong(|model| (model.norm_eps, model.init_std) = (0.1, 1.0)).is_empty());
    }

    #[test]
    fn heads_that_do_not_fit_say_which_would() {
        let (field, message, help) = one(|model| model.heads = 11);
        assert_eq!(
            (field.as_str(), message.as_str()),
            ("heads", "a width of 768 does not divide by 11 heads")
        );
        assert_eq!(help, "12 heads would do, or write `head_width`");
        let (field, message, help) = one(|model| model.kv_heads = Some(5));
        assert_eq!(
            (field.as_str(), &*message),
            ("kv_heads", "12 heads cannot share 5 heads of keys and values evenly")
        );
        assert_eq!(help, "4 would do: `heads` must be a multiple of `kv_heads`");
        assert_eq!(one(|model| model.head_width = Some(7)).0, "head_width");
        let (field, message, _) = one(|model| (model.width, model.heads) = (756, 12));
        assert_eq!(
            (field.as_str(), &*message),
            ("heads", "a head is 63 wide, and positions turn pairs of its numbers")
        );
        assert_eq!(one(|model| (model.heads, model.head_width) = (4096, Some(64))).0, "heads");
    }

    #[test]
    fn every_size_has_bounds() {
        let fields = wrong(|model| {
            *model = Model::new(0, 0, 0, 0);
            model.vocab_size = Some(usize::MAX);
            (model.kv_heads, model.head_width) = (Some(0), Some(0));
            (model.context, model.window) = (Some(1 << 28), Some(0));
            (model.norm_eps, model.dropout, model.init_std) = (f64::NAN, 1.0, -1.0);
            model.attention_dropout = -0.1;
        });
        let fields: Vec<_> = fields.iter().map(|(field, ..)| field.as_str()).collect();
        let all = "vocab_size layers width heads kv_heads head_width ffn context window norm_eps dropout attention_dropout \
             init_std";
        assert_eq!(fields, all.split(' ').collect::<Vec<_>>());
        assert_eq!(one(|model| model.window = Some(0)).1, "`window` is 0");
        let said = |field: &str, message: &str, help: &str| (field.into(), message.into(), help.into());
        let right = said("norm_eps", "`norm_eps` is 0", "1e-12 to 0.1; 1e-6 is usual");
        assert_eq!(one(|model| model.norm_eps = 0.0), right);
        let right = said("init_std", "`init_std` is 0", "1e-6 to 1; 0.02 is usual");
        assert_eq!(one(|model| model.init_std = 0.0), right);
        assert_eq!(one(|model| model.dropout = 1.0), said("dropout", "`dropout` is 1", "0 to 0.9"));
    }

    #[test]
    fn all_that_is_wrong_comes_at_once() {
        let all = wrong(|model| {
            model.heads = 11;
            model.kv_heads = Some(3);
            model.rope.theta = 0.0;
            model.rope.scaling.factor = 0.0;
        });
        let fields: Vec<_> = all.iter().map(|(field, ..)| field.as_str()).collect();
        assert_eq!(fields, ["heads", "kv_heads", "rope.theta", "rope.scaling.factor"]);
    }

    #[test]
    fn data_that_does_not_go_with_the_model_is_named() {
        let mut model = good();
        assert_eq!(model.check_data(32_000, 1024), []);
        (model.vocab_size, model.context) = (Some(32_000), Some(2048));
        let [vocab, context] = &model.check_data(32_001, 1024)[..] else { panic!() };
        assert_eq!(vocab.message, "the model has 32000 tokens, and the data's tokenizer 32001");
        assert_eq!(context.message, "a context of 2048 is longer than that of the packed data, 1024");
        assert_eq!(context.help, "leave `context` out, or pack with `context: 2048`");
        assert_eq!(model.check_data(31_000, 2048), [], "tokens that no text has are padding");
        assert!(model.check_data(31_000, 4096)[0].message.contains("shorter"));
    }
}
