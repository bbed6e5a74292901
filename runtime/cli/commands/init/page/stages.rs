//! The stages of a page: from text to a model that others load.
use super::Page;
use crate::commands::init::choices::Goal;
use std::fmt::Write as _;

impl Page<'_> {
    pub(super) fn stages(&self) -> String {
        let mut text = "stages:\n".to_owned();
        self.texts(&mut text);
        self.talk(&mut text);
        self.tokens(&mut text);
        self.base(&mut text);
        self.chat(&mut text);
        self.end(&mut text);
        text
    }

    fn tokens(&self, text: &mut String) {
        let proposal = self.proposal;
        let corpora = if proposal.chats.is_empty() { "text" } else { "[text, talk]" };
        let mode = if proposal.tokens > 1_000_000_000 { ", mode: fast" } else { "" };
        let _ = writeln!(text, "  tokenizer:\n    uses: tokenizer\n    inputs: {{ corpus: {corpora} }}");
        let _ = writeln!(text, "    with: {{ vocab_size: \"${{params.vocab}}\"{mode} }}\n");
        let one = matches!(proposal.texts.as_slice(), [taken] if taken.source.one_document);
        let (about, validation) = match proposal.tokens {
            _ if one => ("the end of the text", "{ tail: 0.05 }"),
            100_000_000.. => ("a thousandth of the documents", "0.001"),
            _ => ("a hundredth of the documents", "0.01"),
        };
        let _ = writeln!(text, "  # Sequences to train on, and {about} kept aside to measure on.");
        let _ =
            writeln!(text, "  packed:\n    uses: pack\n    inputs: {{ corpus: text, tokenizer: tokenizer }}");
        let context = "context: \"${params.context}\"";
        let _ = writeln!(text, "    with: {{ {context}, strategy: best-fit, validation: {validation} }}");
        if !proposal.chats.is_empty() {
            let _ = writeln!(
                text,
                "  packed_talk:\n    uses: pack\n    inputs: {{ corpus: talk, tokenizer: tokenizer }}"
            );
            let _ = writeln!(
                text,
                "    with: {{ {context}, strategy: best-fit, validation: 0.02, mask: assistant }}"
            );
        }
    }

    fn base(&self, text: &mut String) {
        let _ = write!(
            text,
            "
  # The rate stays at its peak until the last fifth, so a longer training goes on from a shorter one.
  base:
    uses: pretrain
    inputs: {{ data: packed }}
    with:
      model: \"${{params.model}}\"
      tokens: \"${{params.tokens}}\"
      batch_tokens: \"${{params.batch_tokens}}\"
      lr: \"${{params.lr}}\"
{}      eval_every: \"${{params.eval_every}}\"
      seed: {}
{}",
            self.trains(),
            self.proposal.seed,
            self.reserves()
        );
    }

    fn chat(&self, text: &mut String) {
        if self.proposal.chats.is_empty() {
            return;
        }
        let length = if self.proposal.goal == Goal::Try { "steps" } else { "epochs" };
        let _ = write!(
            text,
            "
  # It learns to answer.
  chat:
    uses: sft
    inputs: {{ data: packed_talk, init: base }}
    with:
      {length}: \"${{params.chat_{length}}}\"
      batch_tokens: \"${{params.chat_batch_tokens}}\"
      lr: \"${{params.chat_lr}}\"
      schedule: {{ warmup: 20 }}
{}      seed: {}
{}",
            self.trains(),
            self.proposal.seed,
            self.reserves()
        );
    }

    /// What training stages share: how they fit into memory.
    fn trains(&self) -> String {
        let mut text =
            "      micro_batch: \"${params.micro_batch}\"\n      precision: \"${params.precision}\"\n"
                .to_owned();
        if self.proposal.fit.int8 {
            text += "      optimizer: { state: int8 }     # a byte in place of four, and a scale for 256\n";
        }
        if self.proposal.fit.recompute {
            text += "      recompute: block               # far less memory, and a third more time\n";
        }
        text
    }

    fn end(&self, text: &mut String) {
        let (tasks, last) = (self.tasks(), self.last());
        let models = if last == "chat" { "[base, chat]" } else { "base" };
        *text += "\n  # How well it predicts what was kept aside";
        if tasks.len() > 1 {
            *text += ", and how many questions it gets right";
        }
        *text += ".\n";
        let questions = [
            ("hellaswag", "Rowan/hellaswag", "data/*.parquet"),
            ("arc_easy", "allenai/ai2_arc", "ARC-Easy/*.parquet"),
        ];
        for (name, repo, files) in questions.into_iter().filter(|(name, ..)| tasks.contains(name)) {
            let _ = writeln!(text, "  {name}:\n    uses: download");
            let _ =
                writeln!(text, "    with: {{ source: hub, as: files, repo: {repo}, files: [\"{files}\"] }}");
        }
        let held_out = self.place.root.join("configs/tasks/held_out.yaml");
        let (data, asked) = match tasks.len() {
            1 => ("packed".to_owned(), format!("[{}]", super::quoted(&self.place.named(&held_out)))),
            _ => ("\"${params.eval_data}\"".to_owned(), "\"${params.tasks}\"".to_owned()),
        };
        let _ = writeln!(
            text,
            "  eval:\n    uses: eval\n    inputs: {{ model: {models}, tokenizer: tokenizer, data: {data} }}"
        );
        let _ = writeln!(text, "    with: {{ tasks: {asked} }}");
        let dtype = if self.proposal.goal == Goal::Try { "f32" } else { "bf16" };
        let get = format!("muse get {} model --to DIR", self.shown());
        let _ = writeln!(
            text,
            "\n  # What Python's `transformers` loads, with a card that tells how it was made: `{get}`."
        );
        let _ = writeln!(
            text,
            "  model:\n    uses: export\n    inputs: {{ model: {last}, tokenizer: tokenizer }}"
        );
        let _ =
            writeln!(text, "    with: {{ format: hf, dtype: {dtype}, name: {} }}", super::quoted(self.name));
    }
}
