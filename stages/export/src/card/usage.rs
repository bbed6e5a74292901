//! How a folder is used, as its card says it.
use crate::params::Format;

const HF: &str = r#"```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
"#;
const HF_CHAT: &str = r#"messages = [{"role": "user", "content": "Hello!"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
"#;
const HF_TEXT: &str = r#"inputs = tokenizer("Once upon a time", return_tensors="pt")
inputs.pop("token_type_ids", None)
"#;
const HF_END: &str = r#"answer = model.generate(**inputs, max_new_tokens=100, do_sample=True)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```
"#;

/// The section.
pub(super) fn usage(format: Format, chat: bool) -> String {
    let way = match (format, chat) {
        (Format::Hf, true) => [HF, HF_CHAT, HF_END].concat(),
        (Format::Hf, false) => [HF, HF_TEXT, HF_END].concat(),
        (Format::Gguf, true) => "```sh\nllama-cli -m model.gguf\n```\n".into(),
        (Format::Gguf, false) => "```sh\nllama-cli -m model.gguf -no-cnv -p 'Once upon a time'\n```\n".into(),
        (Format::Muse, true) => "```sh\nmuse chat .\n```\n".into(),
        (Format::Muse, false) => "```sh\nmuse generate . --prompt 'Once upon a time'\n```\n".into(),
    };
    format!("## Use\n\n{way}\n")
}
