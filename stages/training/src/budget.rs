//! What the command line asks of models before one is trained: what its file may say, what it costs, what a GPU does a second.
pub use muse_model::config::{Model, Round, Shape};
pub use muse_model::count::{
    Device, Flops, Inference, Optimizer, Parameters, Precision, States, Training, TrainingMemory,
};

use muse_model::count::weights_in_use;
use muse_model::decode::Kept;
use muse_stage::FieldError;
use muse_stage::schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

/// The JSON Schema of the files of `configs/models/`.
pub fn model_schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Model>().to_value()
}

/// A model by the values of such a file, which fit the schema; or all that is wrong with it.
pub fn model(values: &Value) -> Result<Model, Vec<FieldError>> {
    let unreadable = |error: serde_json::Error| vec![FieldError::new("", error.to_string())];
    let model: Model = serde_json::from_value(values.clone()).map_err(unreadable)?;
    let problems: Vec<FieldError> = model
        .check()
        .into_iter()
        .map(|problem| FieldError::new(problem.pointer, problem.message).help(problem.help))
        .collect();
    if problems.is_empty() { Ok(model) } else { Err(problems) }
}

/// Operations a second of a GPU by its name, as its maker says them, if it is one of those known.
pub fn gpu_peak(name: &str, precision: Precision) -> Option<f64> {
    crate::peak::by_name(name, precision)
}

/// What a model costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Its parameters, part by part.
    pub parameters: Parameters,
    /// All of them.
    pub total: u64,
    /// Those that a token goes through: all of a model that has no experts.
    pub active: u64,
    /// Those of the dense model of these sizes: the same, but for what `compress` makes smaller.
    pub dense_equivalent: u64,
    /// The size of the weights.
    pub bytes: Bytes,
    /// Operations for a token.
    pub flops_per_token: Flops,
    /// Memory of a training step.
    pub training: TrainingMemory,
    /// Memory in use.
    pub inference: Inference,
}

/// The size of weights in bytes, by what each is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bytes {
    /// Four bytes.
    pub f32: u64,
    /// Two bytes.
    pub bf16: u64,
    /// One byte.
    pub int8: u64,
    /// Two bits for matrices of three values, with a scale for each row, and two bytes for all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ternary: Option<u64>,
}

/// The bytes of weights whose matrices are in two bits. In use, rows for tokens are made of cores; stored, they are these.
fn packed(shape: &Shape, parameters: &Parameters) -> u64 {
    let whole = Parameters::of(&Shape { embedding: None, ..*shape });
    let [made, stored] = [whole, *parameters].map(|parts| 2 * (parts.embedding + parts.head));
    weights_in_use(shape, Kept::Bf16, Device::Cpu) + stored - made
}

impl Cost {
    /// That of a model of this shape, trained in this way on a device of this kind.
    pub fn of(shape: &Shape, training: &Training, device: Device) -> Self {
        let parameters = Parameters::of(shape);
        let total = parameters.total();
        Self {
            parameters,
            total,
            active: parameters.active(),
            dense_equivalent: Parameters::of(&shape.dense()).total(),
            bytes: Bytes {
                f32: 4 * total,
                bf16: 2 * total,
                int8: total,
                ternary: (shape.round == Some(Round::Ternary)).then(|| packed(shape, &parameters)),
            },
            flops_per_token: Flops::of(shape),
            training: TrainingMemory::of(shape, training, device),
            inference: Inference::of(shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_with_a_model_is_a_field_of_its_file() {
        let wrong = json!({ "layers": 2, "width": 100, "heads": 7, "ffn": 64, "window": 0 });
        let fields: Vec<String> = model(&wrong).unwrap_err().into_iter().map(|error| error.pointer).collect();
        assert_eq!(fields, ["/window"]);
        let wrong = json!({ "layers": 2, "width": 100, "heads": 7, "ffn": 64, "rope": { "theta": 0 } });
        let errors = model(&wrong).unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(fields, ["/heads", "/rope/theta"]);
        assert_eq!(errors[0].help.as_deref(), Some("5 heads would do, or write `head_width`"));
    }

    #[test]
    fn what_is_packed_has_cores_and_not_the_rows_that_they_make() {
        let of = |more: Value| {
            let mut model =
                json!({ "layers": 2, "width": 24, "heads": 2, "ffn": 40, "linear": { "round": "ternary" } });
            model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let shape = super::model(&model).unwrap().shape(50, 8);
            (packed(&shape, &Parameters::of(&shape)), Parameters::of(&shape).total())
        };
        for tied in [false, true] {
            let (whole, all) = of(json!({ "tied": tied }));
            // More ranks than rows are worth make it larger.
            for ranks in [1, 24] {
                let (cored, some) = of(json!({ "tied": tied, "embedding": { "tensor_train": ranks } }));
                assert_eq!(whole as i64 - cored as i64, 2 * (all as i64 - some as i64), "{tied} {ranks}");
            }
        }
    }

    #[test]
    fn the_schema_is_that_of_the_values() {
        let schema = model_schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], json!(["layers", "width", "heads", "ffn"]));
        assert!(schema["properties"]["rope"]["default"]["scaling"]["beta_fast"].is_number());
    }
}
