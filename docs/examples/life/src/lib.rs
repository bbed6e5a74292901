//! A stage kind whose longer runs go on from shorter ones: Conway's game of life, as many steps as one likes.
mod world;

use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{
    Above, ArtifactType, ConfigFile, Context, Count, Description, Execution, Extendable, FieldError,
    InputPort, Machine, OutputPort, Stage, StageError,
};
use serde::{Deserialize, Serialize};
use world::{Saved, World};

/// The kind.
pub struct Life;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many steps the world takes.
    pub steps: Extendable<Count>,
    /// Cells in a row, and in a column.
    #[serde(default = "small")]
    pub width: u32,
    /// What the first world looks like, where none stands at `start`.
    #[serde(default)]
    pub seed: u64,
    /// When a cell is born and when it survives; Conway's rule where nothing is said.
    #[serde(default)]
    pub rule: Option<ConfigFile<Rule>>,
    /// Save the world after so many steps, to go on from there after a stop.
    #[serde(default = "often")]
    pub save_every: Execution<u64>,
}

/// How many neighbours it takes.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For a cell to be born.
    pub born: Vec<u8>,
    /// For a cell to survive.
    pub survives: Vec<u8>,
}

fn small() -> u32 {
    32
}

fn often() -> Execution<u64> {
    Execution(1000)
}

impl Stage for Life {
    type Params = Params;
    const KIND: &'static str = "life";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Plays the game of life.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::optional("start", &[ArtifactType::File])]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("world", ArtifactType::File)]
    }

    fn habits(&self, description: Description) -> Description {
        Description { resumes: true, single_thread: true, ..description }
    }

    /// A world that another `life` gives must be as wide as this one.
    fn fits(&self, params: &Params, above: &Above<'_>) -> Result<(), FieldError> {
        for start in above.port("start").iter().filter(|start| start.kind == Self::KIND) {
            let width = &start.params["width"];
            if *width != params.width {
                let message =
                    format!("a world of width {} cannot go on from one of width {width}", params.width);
                return Err(FieldError::new("/width", message).help(format!("write `width: {width}`")));
            }
        }
        Ok(())
    }

    /// Two worlds must fit, a byte a cell.
    fn room(&self, params: &Params, _above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        let needs = 2 * u64::from(params.width) * u64::from(params.width);
        if needs <= machine.memory {
            return Ok(());
        }
        let message = format!("the world needs {needs} bytes, and there are {}", machine.memory);
        Err(FieldError::new("/width", message).help("lower `width`, or raise `resources.memory`"))
    }

    /// Each step follows from the one before, so a longer run passes through all that shorter ones end in.
    fn extends(&self, new: &Params, old: &Params) -> Option<u64> {
        (old.steps.0 <= new.steps.0).then_some(old.steps.0.0)
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let steps = params.steps.0.0;
        let saved = context.resume()?.join("saved");
        let offered = |context: &Context| {
            let offer = context.offer()?;
            Some(Saved { step: offer.step, world: World::read(&offer.path.join("world")).ok()? })
        };
        // What this very run has saved, or what a shorter one ended in, whichever is further.
        let went = [Saved::read(&saved), offered(context)].into_iter().flatten().max_by_key(|went| went.step);
        let Saved { step: from, mut world } = match (went, context.optional("start")) {
            (Some(went), _) => went,
            (None, Some(start)) => Saved { step: 0, world: World::read(&start)? },
            (None, None) => Saved { step: 0, world: World::new(params.width as usize, params.seed) },
        };
        context.metric(from, "from", from as f64);
        let rule = params.rule.map_or(Rule { born: vec![3], survives: vec![2, 3] }, |rule| rule.0);
        for step in from..steps {
            world = world.next(&rule);
            context.progress(step + 1, Some(steps), "steps");
            if context.cancelled() || (step + 1).is_multiple_of(params.save_every.0.max(1)) {
                world.save(step + 1, &saved)?;
                context.go_on()?;
            }
        }
        world.write(&context.output("world"))
    }
}

#[cfg(test)]
mod tests;
