//! Sizes of models: those that come along in `configs/models/`, and ones of any size in their likeness.
use super::proposal::rules::below;
use muse_stage::Count;
use muse_stages::budget::{Model, Parameters};

/// A model and the file that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sized {
    /// The file's name without its ending; none where the page's own is taken.
    pub(crate) name: Option<&'static str>,
    /// The model. It says its vocabulary.
    pub(crate) model: Model,
    /// The file, where it comes along.
    pub(crate) text: Option<&'static str>,
}

macro_rules! shipped {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../configs/models/", $name, ".yaml")))),*]
    };
}

/// The files that come along and are general, from the smallest on.
const SHIPPED: &[(&str, &str)] = shipped!["tiny_1m" "small_10m" "30m" "125m" "350m" "1b" "3b" "7b" "10b"];

/// Heads are as wide as this, and twice as wide in large models.
const HEAD: usize = 64;
/// From this width on they are.
const WIDE: usize = 2048;

impl Sized {
    /// One that comes along.
    pub(crate) fn shipped(name: &str) -> Option<Self> {
        let (name, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
        Some(Self { name: Some(name), model: read(text)?, text: Some(text) })
    }

    /// All that come along, from the largest on.
    pub(crate) fn ladder() -> Vec<Self> {
        SHIPPED.iter().rev().filter_map(|(name, _)| Self::shipped(name)).collect()
    }

    /// What `--model` says: a name, or a number of parameters.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::shipped(text).or_else(|| Some(Self::near(Count::parse(text).ok()?.0)))
    }

    /// The model of about so many parameters.
    pub(crate) fn near(parameters: u64) -> Self {
        let vocab_size = vocabulary(parameters);
        let off = |model: &Model| {
            let has = Parameters::of(&model.shape(vocab_size, 1)).total() as f64;
            // How far it is from what is wanted, and from the usual form, where twice as deep is as odd as half.
            let usual = if parameters < 600_000_000 { 40.0 } else { 100.0 };
            let form = (model.width as f64 / model.layers as f64 / usual).ln().abs();
            (has / parameters as f64).ln().abs() + 0.05 * form
        };
        let widths = (1..=128).map(|heads| heads * HEAD).filter(|width| *width < WIDE || width % 256 == 0);
        let all = widths.flat_map(|width| (2..=80).map(move |layers| model(layers, width, vocab_size)));
        let best = all.min_by(|a, b| off(a).total_cmp(&off(b)));
        Self { name: None, model: best.unwrap_or_else(|| model(4, 128, vocab_size)), text: None }
    }

    /// The same with another vocabulary, which makes it the page's own.
    #[must_use]
    pub(crate) fn with_vocabulary(self, vocab_size: usize) -> Self {
        if self.model.vocab_size == Some(vocab_size) {
            return self;
        }
        Self { name: None, model: Model { vocab_size: Some(vocab_size), ..self.model }, text: None }
    }

    /// How many parameters it has.
    pub(crate) fn parameters(&self) -> u64 {
        Parameters::of(&self.model.shape(1, 1)).total()
    }

    /// The file that it stands in.
    pub(crate) fn file(&self) -> String {
        match self.text {
            Some(text) => text.to_owned(),
            None => write(&self.model),
        }
    }
}

/// What `--model` may be.
pub(crate) fn known(text: &str) -> Result<String, String> {
    let sizes = || SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match Count::parse(text) {
        _ if Sized::shipped(text).is_some() => Ok(text.to_owned()),
        Ok(count) if (500_000..=20_000_000_000).contains(&count.0) => Ok(text.to_owned()),
        Ok(_) => Err("expected 500k to 20B parameters".into()),
        Err(_) => Err(format!("expected a number of parameters, such as `60M`, or one of {}", sizes())),
    }
}

/// How many tokens the vocabulary of a model of this size has: about as those that come along have it.
fn vocabulary(parameters: u64) -> usize {
    below(parameters, &[(4, 4096), (20, 16_384), (200, 32_768), (600, 49_152)], 65_536)
}

/// A model of usual form.
fn model(layers: usize, width: usize, vocab_size: usize) -> Model {
    let heads = width / if width < WIDE { HEAD } else { 2 * HEAD };
    // A third to a quarter of the heads has keys; small models have few anyway.
    let shared = [4, 3].into_iter().find(|part| heads >= 8 && heads.is_multiple_of(*part));
    let ffn = (width * 8 / 3).next_multiple_of(64);
    let mut model = Model::new(layers, width, heads, ffn);
    model.kv_heads = shared.map(|part| heads / part);
    model.vocab_size = Some(vocab_size);
    model.tied = width <= WIDE;
    model.rope.theta = if width < 1024 { 10_000.0 } else { 1_000_000.0 };
    model
}

/// Reads a file that comes along: plain `field: value` lines. A test holds it against what `muse params` reads.
fn read(text: &str) -> Option<Model> {
    let value = |field: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        lines.next()
    };
    let number = |field: &str| value(field)?.parse::<usize>().ok();
    let mut model = Model::new(number("layers")?, number("width")?, number("heads")?, number("ffn")?);
    (model.vocab_size, model.kv_heads) = (number("vocab_size"), number("kv_heads"));
    model.tied = value("tied") == Some("true");
    if let Some(theta) = value("rope").and_then(|rope| rope.split([':', '}']).nth(1)) {
        model.rope.theta = theta.trim().parse().ok()?;
    }
    Some(model)
}

/// The file of a model that does not come along.
fn write(model: &Model) -> String {
    let mut lines = vec!["# yaml-language-server: $schema=../../docs/schema/model.schema.json".to_owned()];
    let parameters = Parameters::of(&model.shape(1, 1)).total();
    let count = crate::format::exact(parameters);
    lines.push(format!("# {count} parameters. `muse params` on this file shows what it costs."));
    let Model { layers, width, heads, ffn, .. } = model;
    lines.extend(model.vocab_size.map(|size| format!("vocab_size: {size}")));
    lines.push(format!("layers: {layers}\nwidth: {width}\nheads: {heads}"));
    lines.extend(model.kv_heads.map(|heads| format!("kv_heads: {heads}")));
    lines.push(format!("ffn: {ffn}"));
    if model.rope.theta != 10_000.0 {
        lines.push(format!("rope: {{ theta: {} }}", model.rope.theta));
    }
    if model.tied {
        lines.push("tied: true".into());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::document::values;
    use muse_stages::budget;

    fn as_others_read(text: &str) -> Model {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        std::fs::write(&path, text).unwrap();
        values(&path, "a model", &budget::model_schema(), budget::model).unwrap()
    }

    #[test]
    fn what_comes_along_is_what_its_files_say() {
        let ladder = Sized::ladder();
        assert_eq!(ladder.len(), SHIPPED.len());
        assert!(ladder.windows(2).all(|pair| pair[0].parameters() > pair[1].parameters()));
        for sized in ladder {
            assert_eq!(as_others_read(&sized.file()), sized.model, "{:?}", sized.name);
            assert!(sized.model.vocab_size.is_some_and(|size| size >= 4096), "{:?}", sized.name);
        }
    }

    #[test]
    fn a_model_of_any_size_is_sound_and_near_it() {
        for power in 0..60 {
            let wanted = (500_000.0 * 1.2_f64.powi(power)) as u64;
            let sized = Sized::near(wanted);
            let model = &sized.model;
            assert_eq!(model.check(), [], "{wanted}");
            assert!(model.width.is_multiple_of(model.heads), "{wanted}: {model:?}");
            assert!(model.heads.is_multiple_of(model.kv_heads()), "{wanted}: {model:?}");
            let off = sized.parameters() as f64 / wanted as f64;
            assert!((0.8..1.25).contains(&off), "{wanted}: {off} {model:?}");
            assert_eq!(as_others_read(&sized.file()), *model, "{wanted}");
        }
    }

    #[test]
    fn a_size_is_a_name_or_a_number() {
        assert_eq!(Sized::of("125m").unwrap().name, Some("125m"));
        assert_eq!(Sized::of("60M").unwrap().name, None);
        assert!(known("30m").is_ok() && known("60M").is_ok() && known("1.5B").is_ok());
        for wrong in ["", "30mm", "7", "1T", "huge"] {
            assert!(known(wrong).is_err(), "{wrong}");
        }
        let other = Sized::shipped("30m").unwrap().with_vocabulary(8000);
        assert_eq!((other.name, other.text, other.model.vocab_size), (None, None, Some(8000)));
        assert_eq!(Sized::shipped("30m").unwrap().with_vocabulary(32_768).name, Some("30m"));
    }
}
