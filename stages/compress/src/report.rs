//! `compress.json`: of each matrix what it stands for, what is trained of it, what it takes on the disk and how far it is off.
use crate::source::Source;
use muse_artifacts::checkpoint::Tensor;
use muse_model::config::{Model, Round};
use muse_model::net::{Role, Weight};
use serde::Serialize;
use serde_json::Value;
use std::io::Write;

/// How the figures are to be read, as the report itself says it.
const COUNTED: [&str; 5] = [
    "dense: numbers of the matrix of a model of whole matrices that these tensors stand in the place of. They do not do what it would do: \
     a product of rank r is as large as r (in + out) numbers, and not as in · out.",
    "trained: numbers that training changes.",
    "bytes: of the tensors, with their scales; file_bytes counts heads of files too.",
    "ratio: two bytes for each number of `dense`, as bf16 takes, by `bytes`.",
    "error: the root of the sum of squares that are missed, by that of all squares. Of a trained matrix that was taken apart it is that of \
     the whole matrix as it is used, rounded or not; of any other, that of rounding its own numbers. null: it does what it did.",
];

/// What became of a model.
#[derive(Serialize)]
pub(crate) struct Report {
    format: u32,
    counted: [&'static str; 5],
    trained_before: bool,
    total: Sums,
    file_bytes: u64,
    matrices: Vec<Row>,
}

/// What became of a matrix.
#[derive(Serialize)]
pub(crate) struct Row {
    name: String,
    form: String,
    #[serde(flatten)]
    sums: Sums,
    pub(crate) error: Option<f64>,
    tensors: Vec<Kept>,
    #[serde(skip)]
    kind: Kind,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Sums {
    dense: u64,
    trained: u64,
    bytes: u64,
    ratio: f64,
}

#[derive(Serialize)]
struct Kept {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: u64,
}

/// What lines of the log are of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rows,
    Attention,
    Mlp,
    Norms,
    Gates,
}

impl Row {
    pub(crate) fn of(whole: &Weight, parts: &[Weight], source: &Source) -> Self {
        let numbers = |weights: &[Weight]| weights.iter().map(|one| one.len() as u64).sum();
        let sums = Sums { dense: whole.len() as u64, trained: numbers(parts), ..Sums::default() };
        let kind = match whole.role {
            Role::Embedding | Role::Head => Kind::Rows,
            Role::Norm => Kind::Norms,
            Role::Gate | Role::Loads => Kind::Gates,
            Role::Matrix if whole.name.contains(".mlp.") => Kind::Mlp,
            Role::Matrix => Kind::Attention,
        };
        let form = form(&source.target, whole.role);
        Self { name: whole.name.clone(), form, sums, error: None, tensors: Vec::new(), kind }
    }

    pub(crate) fn takes(&mut self, tensor: &Tensor, bytes: u64) {
        let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
        self.tensors.push(Kept { name, dtype: tensor.dtype.to_string(), shape, bytes });
        self.sums.bytes += bytes;
        self.sums = self.sums.with_ratio();
    }
}

impl Sums {
    fn with_ratio(self) -> Self {
        Self { ratio: 2.0 * self.dense as f64 / self.bytes.max(1) as f64, ..self }
    }

    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let add = |all: Self, row: &Row| Self {
            dense: all.dense + row.sums.dense,
            trained: all.trained + row.sums.trained,
            bytes: all.bytes + row.sums.bytes,
            ratio: 0.0,
        };
        rows.fold(Self::default(), add).with_ratio()
    }
}

impl Report {
    pub(crate) fn of(matrices: Vec<Row>, file_bytes: u64, trained_before: bool) -> Self {
        let total = Sums::of(matrices.iter());
        Self { format: 1, counted: COUNTED, trained_before, total, file_bytes, matrices }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Says it by kinds of matrices.
    pub(crate) fn say(&self, log: &mut impl Write) {
        let line = |name: &str, form: &str, sums: Sums, error: String| {
            let (dense, trained, bytes, ratio) = (sums.dense, sums.trained, sums.bytes, sums.ratio);
            format!("{name:<12} {form:<32} {dense:>15} {trained:>15} {bytes:>14} {ratio:>8.2} {error:>9}\n")
        };
        let mut page = format!(
            "{:<12} {:<32} {:>15} {:>15} {:>14} {:>8} {:>9}\n",
            "", "form", "stands for", "trained", "bytes", "ratio", "error"
        );
        let kinds = [
            ("rows", Kind::Rows),
            ("attention", Kind::Attention),
            ("mlp", Kind::Mlp),
            ("norms", Kind::Norms),
            ("gates", Kind::Gates),
        ];
        let there = |kind: Kind| self.matrices.iter().any(|row| row.kind == kind);
        for (name, kind) in kinds.into_iter().filter(|(_, kind)| *kind != Kind::Gates || there(*kind)) {
            let rows = || self.matrices.iter().filter(|row| row.kind == kind);
            let errors: Vec<f64> = rows().filter_map(|row| row.error).collect();
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            let error = if errors.is_empty() { "-".to_owned() } else { format!("{mean:.4}") };
            let form = rows().next().map_or("", |row| &row.form);
            page += &line(name, form, Sums::of(rows()), error);
        }
        page += &line("all", "", self.total, String::new());
        page += "`ratio`: two bytes for each number that stands in its place, by bytes. What stands for a matrix does not do what it would do.\n";
        let _ = log.write_all(page.as_bytes());
    }
}

/// What the card of a model says of it.
pub(crate) fn told(report: &Report) -> [(&'static str, Value); 3] {
    [
        ("dense_equivalent", report.total.dense.into()),
        ("trained", report.total.trained.into()),
        ("bytes", report.file_bytes.into()),
    ]
}

/// What stands in the place of a matrix, in words.
fn form(model: &Model, role: Role) -> String {
    let rounded = |round: Option<Round>| match round {
        Some(Round::Ternary) => ", three values",
        Some(Round::Int8) => ", 8 bits",
        None => "",
    };
    match (role, model.low_rank(), model.embedding) {
        (role, ..) if role.is_exact() => "as they are".into(),
        (Role::Matrix, Some(rank), _) => format!("rank {rank}{}", rounded(model.round())),
        (Role::Matrix, None, _) => format!("whole{}", rounded(model.round())),
        (_, _, Some(cores)) => {
            format!("two cores of rank {}{}", cores.tensor_train, rounded(cores.round))
        }
        (_, _, None) => "whole".into(),
    }
}
