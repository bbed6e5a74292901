//! Mixture of experts: blocks with many SwiGLU, of which each token goes through a few.
use super::{Model, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The experts of a block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// How many there are to choose from.
    #[schemars(range(min = 2, max = 1024))]
    pub count: usize,
    /// How many a token goes through.
    #[schemars(range(min = 1, max = 1024))]
    pub chosen: usize,
    /// The inner width of each. Left out, `ffn`, which is then for nothing else: where the first blocks are dense, this is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub width: Option<usize>,
    /// How many more every token goes through: one SwiGLU, so many times as wide.
    #[serde(default)]
    #[schemars(range(max = 1024))]
    pub shared: usize,
    /// How many of the first blocks have one SwiGLU of `ffn` and no experts.
    #[serde(default)]
    #[schemars(range(max = 1023))]
    pub dense: usize,
    /// What a token's scores are made by.
    #[serde(default)]
    pub gate: Gate,
    /// In how many groups experts stand, one behind the other: a token chooses groups first.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1024))]
    pub groups: usize,
    /// How many groups a token chooses experts from. Left out, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub chosen_groups: Option<usize>,
    /// What experts give counts by their scores, times this.
    #[serde(default = "whole")]
    #[schemars(range(min = 1e-3, max = 1000.0))]
    pub scale: f64,
    /// The scores of those that are chosen are divided by their sum first. Left out, where the gate is `sigmoid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normed: Option<bool>,
    /// How much the balancing loss counts: `count` times the sum, over experts, of the share of tokens that chose it times its mean
    /// probability, which is 1 where all are chosen as often.
    #[serde(default = "balance")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub balance: f64,
    /// How far each step moves a number that is added to an expert's score where it is chosen, and nowhere else: up where fewer tokens chose
    /// it than the mean, down where more did. It balances without a loss; `balance` may then be 0.
    #[serde(default, skip_serializing_if = "is_nothing")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub bias_rate: f64,
}

/// What makes scores of a token's products with the gate's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Shares of one: what an expert gets, others do not (NANO-KIMI, Qwen3).
    #[default]
    Softmax,
    /// Each by itself (DeepSeek-V3).
    Sigmoid,
}

fn one() -> usize {
    1
}

fn whole() -> f64 {
    1.0
}

fn balance() -> f64 {
    0.01
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for one")]
fn is_nothing(rate: &f64) -> bool {
    *rate == 0.0
}

impl Experts {
    /// So many, of which a token goes through some, with all else at its default.
    pub fn new(count: usize, chosen: usize) -> Self {
        Self {
            count,
            chosen,
            width: None,
            shared: 0,
            dense: 0,
            gate: Gate::default(),
            groups: one(),
            chosen_groups: None,
            scale: whole(),
            normed: None,
            balance: balance(),
            bias_rate: 0.0,
        }
    }

    /// Whether the scores of those that are chosen are divided by their sum.
    pub fn normed(self) -> bool {
        self.normed.unwrap_or(self.gate == Gate::Sigmoid)
    }

    /// How many groups a token chooses experts from.
    pub fn chosen_groups(self) -> usize {
        self.chosen_groups.unwrap_or(self.groups)
    }

    /// Whether numbers that no gradient moves are added to scores.
    pub fn has_bias(self) -> bool {
        self.bias_rate > 0.0
    }
}

impl Model {
    /// What is wrong with its experts, where each size by itself is right.
    pub(super) fn check_experts(&self, problems: &mut Vec<Problem>) {
        let Some(experts) = self.experts else { return };
        let mut within = |pointer: &'static str, value: usize, least: usize, most: usize| {
            if !(least..=most).contains(&value) {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                let help = format!("{least} to {most}");
                problems.push(Problem::new(pointer, format!("`{name}` is {value}"), help));
            }
        };
        within("/experts/count", experts.count, 2, 1024);
        within("/experts/chosen", experts.chosen, 1, experts.count.clamp(1, 1024));
        within("/experts/width", experts.width.unwrap_or(1), 1, 1 << 20);
        within("/experts/shared", experts.shared, 0, 1024);
        within("/experts/dense", experts.dense, 0, self.layers - 1);
        within("/experts/groups", experts.groups, 1, experts.count.clamp(1, 1024));
        within("/experts/chosen_groups", experts.chosen_groups(), 1, experts.groups.max(1));
        let mut share = |pointer: &'static str, value: f64, least: f64, most: f64| {
            if !(least..=most).contains(&value) {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                let help = format!("{least} to {most}");
                problems.push(Problem::new(pointer, format!("`{name}` is {value}"), help));
            }
        };
        share("/experts/scale", experts.scale, 1e-3, 1e3);
        share("/experts/balance", experts.balance, 0.0, 10.0);
        share("/experts/bias_rate", experts.bias_rate, 0.0, 1.0);
        if problems.is_empty() {
            self.experts_fit(experts, problems);
        }
    }

    fn experts_fit(&self, experts: Experts, problems: &mut Vec<Problem>) {
        let Experts { count, chosen, groups, .. } = experts;
        if !count.is_multiple_of(groups) {
            let message = format!("{count} experts do not stand in {groups} groups evenly");
            problems.push(Problem::new("/experts/groups", message, "`count` must be a multiple of `groups`"));
            return;
        }
        let to_choose_from = experts.chosen_groups() * (count / groups);
        if chosen > to_choose_from {
            let message = format!(
                "a token goes through {chosen} experts, and {} of {groups} groups have {to_choose_from}",
                experts.chosen_groups()
            );
            problems.push(Problem::new("/experts/chosen", message, format!("{to_choose_from} at most")));
        }
        if groups == 1 && experts.chosen_groups.is_some() {
            let message = "`experts.chosen_groups` is for experts in groups, and they are in one";
            problems.push(Problem::new("/experts/chosen_groups", message, "write `groups`, or leave it out"));
        }
        if experts.normed() && chosen == 1 {
            let message = "the score of one expert divided by itself is 1, so its gate would learn nothing";
            problems.push(Problem::new("/experts/normed", message, "write `normed: false`, or choose more"));
        }
        match (experts.dense, experts.width) {
            (0, Some(width)) => {
                let message =
                    format!("no block is dense, so `ffn` is the width of each expert, and not {width}");
                let help = format!("write `ffn: {width}`, and leave `experts.width` out");
                problems.push(Problem::new("/experts/width", message, help));
            }
            (1.., None) => {
                let message =
                    "the first blocks are as wide as `ffn`, and how wide each expert is is not said";
                problems.push(Problem::new("/experts", message, "write `experts.width`"));
            }
            _ => {}
        }
        let inner = experts.width.unwrap_or(self.ffn);
        if experts.shared * inner > 1 << 20 {
            let message = format!("{} shared experts of {inner}", experts.shared);
            problems.push(Problem::new("/experts/shared", message, format!("{} numbers at most", 1 << 20)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut Experts)) -> Vec<String> {
        let mut experts = Experts { shared: 1, dense: 1, width: Some(64), ..Experts::new(8, 2) };
        change(&mut experts);
        let model = Model { experts: Some(experts), ..Model::new(3, 64, 4, 128) };
        model.check().iter().map(Problem::field).collect()
    }

    #[test]
    fn experts_that_fit_have_no_problems() {
        assert_eq!(of(|_| ()), [""; 0]);
        assert_eq!(of(|x| (x.groups, x.chosen_groups) = (4, Some(1))), [""; 0]);
        assert_eq!(of(|x| (x.dense, x.width) = (0, None)), [""; 0]);
        assert_eq!(of(|x| (x.gate, x.bias_rate, x.balance) = (Gate::Sigmoid, 1e-3, 0.0)), [""; 0]);
    }

    #[test]
    fn sizes_have_bounds_and_go_together() {
        assert_eq!(of(|x| x.count = 1), ["experts.count", "experts.chosen"]);
        assert_eq!(of(|x| x.chosen = 9), ["experts.chosen"]);
        assert_eq!(of(|x| x.dense = 3), ["experts.dense"]);
        assert_eq!(of(|x| x.groups = 3), ["experts.groups"]);
        assert_eq!(of(|x| (x.groups, x.chosen_groups) = (8, Some(1))), ["experts.chosen"]);
        assert_eq!(of(|x| (x.groups, x.chosen_groups) = (2, Some(3))), ["experts.chosen_groups"]);
        assert_eq!(
            of(|x| (x.groups, x.chosen_groups) = (0, Some(0))),
            ["experts.groups", "experts.chosen_groups"]
        );
        assert_eq!(of(|x| x.scale = f64::NAN), ["experts.scale"]);
        assert_eq!(of(|x| (x.balance, x.bias_rate) = (-1.0, 2.0)), ["experts.balance", "experts.bias_rate"]);
        assert_eq!(of(|x| (x.shared, x.width) = (1024, Some(1 << 20))), ["experts.shared"]);
    }

    #[test]
    fn what_changes_nothing_is_an_error() {
        assert_eq!(of(|x| x.dense = 0), ["experts.width"]);
        assert_eq!(of(|x| x.width = None), ["experts"]);
        assert_eq!(of(|x| x.chosen_groups = Some(1)), ["experts.chosen_groups"]);
        assert_eq!(of(|x| (x.gate, x.chosen) = (Gate::Sigmoid, 1)), ["experts.normed"]);
    }
}
