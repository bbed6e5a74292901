//! Factors by themselves, as PEFT and what reads its files want them.
use super::Trainer;
use burn::tensor::TensorData;
use muse_model::config::Shape;
use muse_model::kernels::Ops;
use muse_model::lora::LoraConfig;
use muse_stage::StageError;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

impl<B: Ops> Trainer<'_, B> {
    /// Writes the factors into a new folder; nothing where none are trained.
    pub(crate) fn save_adapter(&self, to: &Path) -> Result<(), StageError> {
        let Some(lora) = &self.training.recipe.lora else { return Ok(()) };
        let numbers: Vec<(String, &[usize], TensorData)> = self
            .factors()
            .into_iter()
            .map(|(weight, x)| {
                (format!("base_model.model.{}", weight.name), weight.shape.as_slice(), x.into_data())
            })
            .collect();
        let mut views = Vec::with_capacity(numbers.len());
        for (name, shape, data) in &numbers {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), data.as_bytes());
            views.push((name, view.map_err(|error| StageError::new(format!("`{name}`: {error}")))?));
        }
        let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(about))
            .map_err(|error| StageError::new(format!("the factors cannot be written: {error}")))?;
        fs::create_dir_all(to).map_err(StageError::io(to))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = to.join(name);
            fs::write(&path, bytes).map_err(StageError::io(&path))
        };
        write("adapter_model.safetensors", &bytes)?;
        let text = serde_json::to_string_pretty(&config(lora, &self.shape)).unwrap_or_default() + "\n";
        write("adapter_config.json", text.as_bytes())
    }
}

/// What PEFT wants to know of factors.
fn config(lora: &LoraConfig, shape: &Shape) -> Value {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "r": lora.rank,
        "lora_alpha": lora.alpha(),
        "lora_dropout": 0.0,
        "target_modules": lora.targets_of(shape),
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
    })
}
