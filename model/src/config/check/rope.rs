//! What no schema can say of rotary positions: which fields go together.
use super::{Problem, pointer_name};
use crate::config::{Model, RopeScaling, ScalingKind};

impl Model {
    pub(super) fn rope_fits(&self, problems: &mut Vec<Problem>) {
        let scaling = &self.rope.scaling;
        let RopeScaling { kind, factor, beta_fast, beta_slow, .. } = *scaling;
        let mut wrong =
            |pointer, message: String, help: &str| problems.push(Problem::new(pointer, message, help));
        if !(2.0..=1e12).contains(&self.rope.theta) {
            let message = format!("`rope.theta` is {}", self.rope.theta);
            wrong("/rope/theta", message, "2 to 1e12; 10000 is usual, 1000000 for long contexts");
        }
        if !(1.0..=65_536.0).contains(&factor) {
            let message = format!("`rope.scaling.factor` is {factor}");
            wrong("/rope/scaling/factor", message, "1 to 65536: how many times longer the context becomes");
        }
        if kind == ScalingKind::None && factor > 1.0 {
            let message = format!("a factor of {factor} changes nothing without a `kind` of scaling");
            wrong("/rope/scaling/factor", message, "write `kind: linear`, `ntk`, `yarn` or `llama3`");
        }
        let mut idle = |there: bool, pointer, kinds: &str| {
            if there {
                let message = format!("`{}` belongs to `kind: {kinds}` alone", pointer_name(pointer));
                wrong(pointer, message, "leave it out, or write `kind: yarn`");
            }
        };
        idle(
            kind != ScalingKind::Yarn && scaling.attention_factor.is_some(),
            "/rope/scaling/attention_factor",
            "yarn",
        );
        if !matches!(kind, ScalingKind::Yarn | ScalingKind::Llama3) {
            let usual = RopeScaling::default();
            let mut idle = |there, pointer| idle(there, pointer, "yarn` and `llama3");
            idle(scaling.original_context.is_some(), "/rope/scaling/original_context");
            idle(beta_fast != usual.beta_fast, "/rope/scaling/beta_fast");
            idle(beta_slow != usual.beta_slow, "/rope/scaling/beta_slow");
            return;
        }
        match scaling.original_context {
            None => {
                let message = "this scaling goes by the context that the model was trained with".to_owned();
                wrong("/rope/scaling", message, "write `original_context`");
            }
            Some(context) if !(1..=1 << 27).contains(&context) => {
                let message = format!("`rope.scaling.original_context` is {context}");
                wrong("/rope/scaling/original_context", message, "1 to 134217728");
            }
            Some(_) => {}
        }
        if !(beta_slow > 0.0 && beta_slow < beta_fast && beta_fast <= 65_536.0) {
            let message = format!("betas of {beta_fast} and {beta_slow} leave no ramp");
            wrong(
                "/rope/scaling/beta_fast",
                message,
                "`beta_slow` above 0, and `beta_fast` above it, up to 65536: usual are 1 and 32, and 1 and 4 for `llama3`",
            );
        }
        if scaling.attention_factor.is_some_and(|factor| !(0.01..=100.0).contains(&factor)) {
            let message = "`rope.scaling.attention_factor` is out of bounds".to_owned();
            wrong("/rope/scaling/attention_factor", message, "0.01 to 100; left out, as the paper has it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{one, wrong};
    use super::*;

    #[test]
    fn yarn_with_all_that_it_needs_has_no_problems() {
        let yarn = RopeScaling {
            kind: ScalingKind::Yarn,
            factor: 4.0,
            original_context: Some(1024),
            ..RopeScaling::default()
        };
        assert!(wrong(|model| model.rope.scaling = yarn).is_empty());
    }

    #[test]
    fn scaling_that_cannot_work_says_what_to_write() {
        let scaling = |kind, factor| RopeScaling { kind, factor, ..RopeScaling::default() };
        let change = |kind, factor| one(|model| model.rope.scaling = scaling(kind, factor));
        assert_eq!(change(ScalingKind::None, 2.0).2, "write `kind: linear`, `ntk`, `yarn` or `llama3`");
        assert_eq!(change(ScalingKind::Yarn, 2.0).2, "write `original_context`");
        assert_eq!(change(ScalingKind::Llama3, 2.0).2, "write `original_context`");
        let sharper = one(|model| {
            model.rope.scaling = RopeScaling {
                original_context: Some(64),
                attention_factor: Some(1.5),
                ..scaling(ScalingKind::Llama3, 2.0)
            };
        });
        assert_eq!(sharper.0, "rope.scaling.attention_factor");
        let betas = one(|model| {
            model.rope.scaling = RopeScaling {
                original_context: Some(64),
                beta_fast: 1.0,
                beta_slow: 32.0,
                ..scaling(ScalingKind::Yarn, 2.0)
            };
        });
        assert_eq!(betas.0, "rope.scaling.beta_fast");
        assert_eq!(
            one(|model| model.rope.scaling.original_context = Some(9)).0,
            "rope.scaling.original_context"
        );
    }

    #[test]
    fn numbers_out_of_bounds_are_told_the_bounds() {
        for theta in [1.0, 1e13, f64::NAN] {
            let (field, message, help) = one(|model| model.rope.theta = theta);
            assert_eq!((field, message), ("rope.theta".into(), format!("`rope.theta` is {theta}")));
            assert_eq!(help, "2 to 1e12; 10000 is usual, 1000000 for long contexts");
        }
        for factor in [0.5, 65_537.0, f64::NAN] {
            let linear = RopeScaling { kind: ScalingKind::Linear, factor, ..RopeScaling::default() };
            let (field, message, help) = one(|model| model.rope.scaling = linear);
            assert_eq!(field, "rope.scaling.factor");
            assert_eq!(message, format!("`rope.scaling.factor` is {factor}"));
            assert_eq!(help, "1 to 65536: how many times longer the context becomes");
        }
    }
}
