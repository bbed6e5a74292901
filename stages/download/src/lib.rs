//! The `download` stage: files, URLs, the Hugging Face Hub or a seeded generator, as a corpus or as they are.
mod environment;
mod gather;
mod hub;
mod inspect;
mod names;
mod net;
mod params;
mod read;
mod source;
mod synthetic;
#[cfg(test)]
mod trust;

pub use inspect::{inspect_file, inspect_hub};
pub use params::{Digests, Documents, Format, Language, Output, Params, RepoKind, Source};

use muse_stage::{ArtifactType, Context, Description, FieldError, OutputPort, Stage, StageError};

/// The kind.
pub struct Download;

impl Stage for Download {
    type Params = Params;
    const KIND: &'static str = "download";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Brings data in: files, URLs, the Hugging Face Hub, or a seeded generator.\n\n\
        Reads parquet, JSONL, JSON, CSV and plain text, each plain, gzip or zstd, also in a zip, into a corpus; \
        `as: files` keeps the files as they are. The column of texts or chats is found or named. What comes over the \
        network is resumed after a cut, checked by size and digest, and pinned in the lock file. A hub repository that \
        asks for a token gets it by `secrets: [HF_TOKEN]`.";

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("corpus", ArtifactType::Corpus)]
    }

    fn makes(&self, params: &Params) -> Vec<OutputPort> {
        match params.output {
            Output::Corpus => self.outputs(),
            Output::Files => vec![OutputPort::new("files", ArtifactType::Folder)],
        }
    }

    fn habits(&self, description: Description) -> Description {
        Description { resumes: true, ..description }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        params.check()
    }

    fn pins(&self, params: &Params) -> Vec<String> {
        match params.source {
            Source::Hub => params.hub_pin().into_iter().collect(),
            Source::Http => params
                .urls
                .iter()
                .filter(|url| params.sha256.of(&params.urls, url).is_none())
                .cloned()
                .collect(),
            Source::File | Source::Synthetic => Vec::new(),
        }
    }

    fn idle(&self, params: &Params) -> Vec<&'static str> {
        params.idle()
    }

    fn pin(&self, context: &mut Context, params: Params, id: &str) -> Result<String, StageError> {
        match params.source {
            Source::Hub => source::hub::pin(context, &params),
            Source::Http => source::http::pin(context, id),
            Source::File | Source::Synthetic => Err(StageError::new(format!("`{id}` is nothing to pin"))),
        }
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        match params.source {
            Source::Hub => source::hub::run(context, &params),
            Source::Http => source::http::run(context, &params),
            Source::File => source::file::run(context, &params),
            Source::Synthetic => source::synthetic::run(context, &params),
        }
    }
}
