//! What `muse params` says to people: one table, a section for each question.
use crate::format::{Table, bytes, count, exact};
use crate::paint::Paint;
use muse_stages::budget::{Cost, Optimizer, Precision, Round, Shape, States, Training};

/// The page of a model.
pub(super) fn draw(name: &str, shape: &Shape, training: &Training, cost: &Cost, paint: Paint) -> String {
    let mut page = Page { table: Table::new(&[1, 2]), paint };
    page.table.row([paint.strong(name)]);
    for line in sizes(shape) {
        page.table.row([format!("  {line}")]);
    }
    page.parameters(shape, cost);
    page.operations(shape, cost);
    page.training(shape, training, cost);
    page.inference(shape, cost);
    page.table.draw("")
}

/// The model in two lines.
fn sizes(shape: &Shape) -> [String; 2] {
    let number = |value: usize| exact(value as u64);
    let Shape { layers, width, heads, kv_heads, head_width, ffn, vocab_size, context, .. } = *shape;
    let shared = if kv_heads == heads { String::new() } else { format!(" sharing {}", number(kv_heads)) };
    let (layers, width, ffn) = (number(layers), number(width), number(ffn));
    let plural = if heads == 1 { "" } else { "s" };
    let heads = format!("{} head{plural} of {}{shared}", number(heads), number(head_width));
    let mut second = format!("vocabulary {}, context {}", number(vocab_size), number(context));
    if let Some(window) = shape.window {
        second += &format!(", window {}", number(window));
    }
    second += if shape.norms_heads() { ", QK-norm" } else { "" };
    second += if shape.tied { ", tied head" } else { "" };
    if let Some(mixers) = shape.mixers {
        let names: Vec<&str> = mixers.iter().map(|mixer| mixer.name()).collect();
        let turn = if names.len() == 1 { "in all blocks" } else { "in turn" };
        second += &format!(", {} {turn}", names.join(" and "));
    }
    let rank = shape.low_rank.map(|rank| format!("rank {}", number(rank)));
    let values = shape.round.map(|round| match round {
        Round::Ternary => "three values".to_owned(),
        Round::Int8 => "8 bits".to_owned(),
    });
    let ways: Vec<String> = rank.into_iter().chain(values).collect();
    if !ways.is_empty() {
        second += &format!(", matrices of {}", ways.join(" and "));
    }
    if let Some(embedding) = shape.embedding {
        let rounded = if embedding.round.is_some() { ", rounded" } else { "" };
        second += &format!(", rows of two cores of rank {}{rounded}", number(embedding.tensor_train));
    }
    let feed = match shape.experts {
        None => format!("SwiGLU {ffn}"),
        Some(experts) => {
            let own = number(shape.of_experts());
            let through = |count: usize| if count == 1 { "one".to_owned() } else { number(count) };
            let mut feed =
                format!("{} of {} experts of {own}", through(experts.chosen), number(experts.count));
            feed += &if experts.shared > 0 {
                format!(" and {} shared", number(experts.shared))
            } else {
                String::new()
            };
            feed + &if experts.dense > 0 {
                format!(", SwiGLU {ffn} in {}", number(experts.dense))
            } else {
                String::new()
            }
        }
    };
    [format!("{layers} layers of width {width}, {heads}, {feed}"), second]
}

struct Page {
    table: Table,
    paint: Paint,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.table.row([""]);
        self.table.row([self.paint.strong(text)]);
    }

    fn row(&mut self, label: &str, value: String) {
        self.table.row([format!("  {label}"), value]);
    }

    /// Parts of a whole with their shares, and then the whole.
    fn parts(&mut self, parts: &[(&str, u64)], whole: u64, text: fn(u64) -> String) {
        for (label, part) in parts.iter().filter(|(_, part)| *part > 0) {
            let share = format!("{:.1}%", 100.0 * *part as f64 / whole as f64);
            self.table.row([format!("  {label}"), text(*part), share]);
        }
        self.row("all", self.paint.strong(&text(whole)));
    }

    fn parameters(&mut self, shape: &Shape, cost: &Cost) {
        let parts = cost.parameters;
        self.heading("parameters");
        let mixers = if shape.mixers.is_none() { "attention" } else { "mixers" };
        let rows = if shape.mixers.is_none() && !shape.head_bias && shape.experts.is_none() {
            "norms"
        } else {
            "norms, biases"
        };
        let named = [
            ("embedding", parts.embedding),
            (mixers, parts.attention),
            (if shape.experts.is_some() { "experts, SwiGLU" } else { "SwiGLU" }, parts.mlp),
            (rows, parts.norms),
            ("head", parts.head),
        ];
        self.parts(&named, cost.total, exact);
        self.row("active for a token", exact(cost.active));
        self.row("dense equivalent", exact(cost.dense_equivalent));
        self.heading("size of the weights");
        self.row("f32", bytes(cost.bytes.f32));
        self.row("bf16", bytes(cost.bytes.bf16));
        self.row("int8", bytes(cost.bytes.int8));
        if let Some(packed) = cost.bytes.ternary {
            self.row("three values, the rest in bf16", bytes(packed));
        }
    }

    fn operations(&mut self, shape: &Shape, cost: &Cost) {
        let flops = cost.flops_per_token;
        let count = |operations: u64| count(operations as f64);
        self.heading(&format!("operations for a token, in sequences of {}", exact(shape.context as u64)));
        self.row("forward", count(flops.forward));
        self.row("training", count(flops.training));
        self.row("training with recompute", count(flops.training_with_recompute));
    }

    fn training(&mut self, shape: &Shape, training: &Training, cost: &Cost) {
        let memory = cost.training;
        let weights = if training.precision == Precision::F32 { "f32" } else { "bf16" };
        let states = match training.states {
            States::F32 => "f32",
            States::Bf16 => "bf16",
            States::Int8 => "int8",
        };
        let optimizer = match training.optimizer {
            Optimizer::Adamw => "AdamW",
            Optimizer::Muon => "Muon",
            Optimizer::Sgd => "SGD",
        };
        let recompute = if training.recompute { ", blocks recomputed" } else { "" };
        let tokens = format!("{} × {}", exact(training.micro_batch), exact(shape.context as u64));
        self.heading(&format!("memory to train, {tokens} tokens at once{recompute}"));
        let named = [
            (&*format!("weights, {weights}"), memory.weights),
            ("master weights, f32", memory.master_weights),
            ("gradients, f32", memory.gradients),
            (&*format!("{optimizer}, {states}"), memory.optimizer),
            (&*format!("activations, {weights}"), memory.activations),
            (&*format!("loss, {weights}"), memory.loss),
            ("workspace", memory.workspace),
            ("allocator and program", memory.overhead),
        ];
        self.parts(&named, memory.total, bytes);
        if memory.host > 0 {
            self.row("in the host's memory", bytes(memory.host));
        }
    }

    fn inference(&mut self, shape: &Shape, cost: &Cost) {
        let memory = cost.inference;
        let ternary = cost.bytes.ternary.is_some();
        let matrices = if ternary { ", matrices in two bits" } else { "" };
        // A GPU has none of three values.
        let place = if ternary { " on the CPU" } else { "" };
        self.heading(&format!("memory to use{place}, bf16{matrices}"));
        let cache = format!("keys and values of {}", exact(shape.seen() as u64));
        let kept = ("what goes along a text", memory.state);
        self.parts(&[("weights", memory.weights), (&cache, memory.cache), kept], memory.total, bytes);
        if memory.cache_per_token > 0 {
            self.row("keys and values of a token", bytes(memory.cache_per_token));
        }
    }
}
