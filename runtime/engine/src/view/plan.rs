//! A plan as others read it: the JSON of `muse plan --json`.
use crate::document::Pipeline;
use crate::plan::{Action, Cause, Plan, Resume};
use serde::Serialize;

/// The whole plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    /// Version of this form.
    pub schema: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// How many stages of each kind.
    pub summary: PlanSummary,
    /// The wanted stages, each behind all that it needs.
    pub stages: Vec<PlannedView>,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanSummary {
    /// All of them.
    pub stages: usize,
    /// Results that are there.
    pub hit: usize,
    /// What will run.
    pub run: usize,
    /// What may run.
    pub maybe: usize,
}

/// One stage.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub uses: String,
    /// What is planned.
    pub action: Action,
    /// Its key; null while something above it is not made, or an outside thing is not pinned.
    pub key: Option<String>,
    /// False where the record is there, and its content neither is nor is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<bool>,
    /// The stage with the same key that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// The result was put in by hand.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// How long it took when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The result of another run that it will go on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Why it will or may run.
    pub causes: Vec<Cause>,
}

impl PlanView {
    /// The view of a plan.
    pub fn new(pipeline: &Pipeline, plan: &Plan) -> Self {
        let stages: Vec<PlannedView> = plan
            .iter()
            .map(|(stage, planned)| {
                let spec = &pipeline.stages[stage];
                PlannedView {
                    name: spec.name.clone(),
                    uses: spec.kind.description.name.clone(),
                    action: planned.action,
                    key: planned.key.map(|key| key.to_string()),
                    stored: (!planned.stored).then_some(false),
                    same_as: planned.same_as.map(|twin| pipeline.stages[twin].name.clone()),
                    adopted: planned.record.as_ref().is_some_and(|record| record.adopted),
                    seconds: planned.record.as_ref().map(|record| record.seconds),
                    resume: planned.resume,
                    causes: planned.causes.clone(),
                }
            })
            .collect();
        let count = |action| stages.iter().filter(|stage| stage.action == action).count();
        let summary = PlanSummary {
            stages: stages.len(),
            hit: count(Action::Hit),
            run: count(Action::Run),
            maybe: count(Action::Maybe),
        };
        Self { schema: 1, pipeline: pipeline.name.clone(), summary, stages }
    }
}
