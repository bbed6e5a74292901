//! Makes matrix after matrix, keeps their bytes in a file beside, and writes the checkpoint of them: it has the sizes of matrices in few
//! bits before the first of these.
use crate::bits::{Stored, stored};
use crate::report::{self, Report, Row};
use crate::source::{Matrix, Source, Taken};
use muse_artifacts::checkpoint::{CheckpointWriter, Tensor};
use muse_model::config::Model;
use muse_model::kernels::Rounding;
use muse_model::net::{Part, Role, Weight};
use muse_stage::{Context, StageError};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What the result says of each matrix.
const REPORT: &str = "compress.json";

pub(crate) fn write(context: &mut Context, source: &Source) -> Result<(), StageError> {
    let mut spool = Spool::create(context.work().join("spool"))?;
    let mut rows = Vec::with_capacity(source.matrices.len());
    let total: u64 = source.matrices.iter().map(|matrix| matrix.whole.len() as u64).sum();
    let mut done = 0;
    for matrix in &source.matrices {
        context.go_on()?;
        rows.push(one(source, matrix, &mut spool)?);
        done += matrix.whole.len() as u64;
        context.progress(done, Some(total), "parameters");
    }
    let spool = spool.finish()?;
    let out = context.output("checkpoint");
    let mut writer = CheckpointWriter::create(&out)?;
    writer.model::<_, StageError>(&spool.tensors, |tensor| {
        context.go_on()?;
        spool.read(tensor)
    })?;
    let about = writer.finish(source.facts())?;
    let report = Report::of(rows, about.bytes(), source.is_trained());
    report::told(&report).into_iter().for_each(|(name, value)| context.fact(name, value));
    report.say(&mut std::io::stderr());
    let path = out.join(REPORT);
    fs::write(&path, report.to_json()).map_err(StageError::io(&path))
}

/// Puts one matrix there, and says what became of it.
fn one(source: &Source, matrix: &Matrix, spool: &mut Spool) -> Result<Row, StageError> {
    let Taken { parts, dtypes, made_of } = source.take(matrix)?;
    let mut row = Row::of(&matrix.whole, &matrix.parts, source);
    let (mut acting, mut off, mut size) = (Vec::new(), 0.0, 0.0);
    for ((part, numbers), dtype) in matrix.parts.iter().zip(parts).zip(dtypes) {
        let to = rounding(&source.target, part);
        // What was rounded so before acts as it did.
        let before = (to.is_some() && to != source.acted(part)).then(|| numbers.clone());
        let Stored { tensors, acts } = stored(part, numbers, to, dtype)?;
        for (tensor, bytes) in tensors {
            row.takes(&tensor, bytes.len() as u64);
            spool.put(tensor, &bytes)?;
        }
        if let (Some(before), None) = (&before, &made_of) {
            off += squares_between(&acts, before);
            size += squares(before);
        }
        if made_of.is_some() {
            acting.push(acts);
        }
    }
    if let Some(trained) = made_of {
        let made = source.made(matrix, acting).unwrap_or_default();
        (off, size) = (squares_between(&made, &trained), squares(&trained));
        row.error = Some(if size > 0.0 { (off / size).sqrt() } else { 0.0 });
    } else if size > 0.0 {
        row.error = Some((off / size).sqrt());
    }
    Ok(row)
}

/// What a weight of a model is rounded to where it is used.
pub(crate) fn rounding(model: &Model, weight: &Weight) -> Option<Rounding> {
    let core = matches!(Part::of(&weight.name), Some(Part::First | Part::Second));
    match weight.role {
        Role::Matrix => model.round().map(Into::into),
        Role::Embedding | Role::Head if core => model.embedding?.round.map(Into::into),
        _ => None,
    }
}

fn squares(numbers: &[f32]) -> f64 {
    numbers.iter().map(|x| f64::from(*x).powi(2)).sum()
}

fn squares_between(numbers: &[f32], others: &[f32]) -> f64 {
    numbers.iter().zip(others).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// The bytes of tensors, in the order in which they were made.
struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
    tensors: Vec<Tensor>,
    begins: Vec<u64>,
    end: u64,
}

impl Spool {
    fn create(path: PathBuf) -> Result<Self, StageError> {
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = BufWriter::with_capacity(1 << 20, file.map_err(StageError::io(&path))?);
        Ok(Self { path, file, tensors: Vec::new(), begins: Vec::new(), end: 0 })
    }

    fn put(&mut self, tensor: Tensor, bytes: &[u8]) -> Result<(), StageError> {
        self.file.write_all(bytes).map_err(StageError::io(&self.path))?;
        self.begins.push(self.end);
        self.end += bytes.len() as u64;
        self.tensors.push(tensor);
        Ok(())
    }

    fn finish(self) -> Result<Spooled, StageError> {
        let Self { path, file, tensors, begins, .. } = self;
        let file = file.into_inner().map_err(|error| StageError::io(&path)(error.into_error()))?;
        let names = tensors.iter().map(|tensor| tensor.name.clone());
        let begins = names.zip(begins).collect();
        Ok(Spooled { path, file, tensors, begins })
    }
}

/// The same, to read from.
struct Spooled {
    path: PathBuf,
    file: File,
    tensors: Vec<Tensor>,
    begins: HashMap<String, u64>,
}

impl Spooled {
    fn read(&self, tensor: &Tensor) -> Result<Vec<u8>, StageError> {
        let begin = self.begins.get(&tensor.name).copied().unwrap_or(0);
        let mut bytes = vec![0; tensor.bytes().unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, begin).map_err(StageError::io(&self.path))?;
        Ok(bytes)
    }
}
