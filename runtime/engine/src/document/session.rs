//! What one load gathers on its way: every text that was read, and all that is wrong.
use super::node::Span;
use super::paths::plain;
use crate::diagnostic::{Diagnostic, Place, Source};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More problems than anybody reads. The rest is counted.
const MOST_PROBLEMS: usize = 1000;
/// A proposal for each of so many problems, and none for the rest: to search names is slow where there are many.
const MOST_PROPOSALS: usize = 100;
/// The most values that names may stand for among parameters.
const MOST_IN_PARAMETERS: usize = 1_000_000;
/// The most values that names may stand for in stages, however often.
const MOST_IN_STAGES: usize = 10_000_000;

/// Sources and problems of one load.
#[derive(Debug, Default)]
pub(crate) struct Session {
    sources: Vec<Arc<Source>>,
    problems: Vec<(Span, Diagnostic)>,
    seen: HashSet<(Span, String)>,
    untold: usize,
    reports: usize,
    replaced: usize,
    parameters_done: bool,
    unwritten: HashMap<PathBuf, String>,
}

impl Session {
    /// A session that knows some texts before they are on disk, by their paths.
    pub(crate) fn with(unwritten: &[(PathBuf, String)]) -> Self {
        let known = unwritten.iter().map(|(path, text)| (plain(path), text.clone()));
        Self { unwritten: known.collect(), ..Self::default() }
    }

    /// The text of a file that is not on disk yet.
    pub(crate) fn unwritten(&self, path: &Path) -> Option<&String> {
        self.unwritten.get(&plain(path))
    }

    /// Takes up a text and gives it its number.
    pub(crate) fn source(&mut self, source: Source) -> u32 {
        self.sources.push(Arc::new(source));
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    /// Every text so far.
    pub(crate) fn sources(&self) -> &[Arc<Source>] {
        &self.sources
    }

    /// The text that a span points into.
    pub(crate) fn source_of(&self, span: Span) -> Option<&Arc<Source>> {
        self.sources.get(span.source as usize)
    }

    /// A span as others see it.
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        let source = self.source_of(span)?.clone();
        Some(Place { source, start: span.start as usize, end: span.end as usize })
    }

    /// How many problems there are.
    pub(crate) fn count(&self) -> usize {
        self.seen.len() + self.untold
    }

    /// How often something was found wrong, known or not.
    pub(crate) fn reports(&self) -> usize {
        self.reports
    }

    /// Whether there are few enough problems to search for what was meant.
    pub(crate) fn proposes(&self) -> bool {
        self.count() < MOST_PROPOSALS
    }

    /// Counts values that stand in the place of names: names of names of names are soon more than there is room
    /// for. The error is the limit.
    pub(crate) fn replace(&mut self, values: usize) -> Result<(), usize> {
        let limit = if self.parameters_done { MOST_IN_STAGES } else { MOST_IN_PARAMETERS };
        self.replaced = self.replaced.saturating_add(values);
        if self.replaced <= limit { Ok(()) } else { Err(limit) }
    }

    /// From here on it is stages that name values.
    pub(crate) fn parameters_done(&mut self) {
        (self.parameters_done, self.replaced) = (true, 0);
    }

    /// Whether something is wrong at just this span.
    pub(crate) fn knows(&self, span: Span) -> bool {
        self.problems.iter().any(|(known, _)| *known == span)
    }

    /// Something wrong at a span, to be [`add`](Self::add)ed once it says all it has to say.
    pub(crate) fn at(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        match self.place(span) {
            Some(place) => Diagnostic::at(place, message),
            None => Diagnostic::general(message),
        }
    }

    /// Keeps a problem, unless it is known: siblings of a matrix say the same.
    pub(crate) fn add(&mut self, span: Span, problem: Diagnostic) {
        self.reports = self.reports.saturating_add(1);
        if self.seen.contains(&(span, problem.message.clone())) {
            return;
        }
        if self.problems.len() == MOST_PROBLEMS {
            self.untold += 1;
            return;
        }
        self.seen.insert((span, problem.message.clone()));
        self.problems.push((span, problem));
    }

    /// Keeps a problem that was made elsewhere.
    pub(crate) fn add_placed(&mut self, problem: Diagnostic) {
        let span = problem.place.as_ref().map_or(Span::default(), |place| self.span_of(place));
        self.add(span, problem);
    }

    /// The span that a place was made from.
    pub(crate) fn span_of(&self, place: &Place) -> Span {
        let small = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let source = self.sources.iter().position(|source| Arc::ptr_eq(source, &place.source));
        Span { source: source.map_or(u32::MAX, small), start: small(place.start), end: small(place.end) }
    }

    /// Keeps a problem that needs no more words.
    pub(crate) fn report(&mut self, span: Span, message: impl Into<String>) {
        let problem = self.at(span, message);
        self.add(span, problem);
    }

    /// All problems, in the order of their places.
    pub(crate) fn into_problems(mut self) -> Vec<Diagnostic> {
        self.problems.sort_by_key(|(span, _)| *span);
        let mut problems: Vec<Diagnostic> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        if self.untold > 0 {
            problems.push(Diagnostic::general(format!("and {} more errors", self.untold)));
        }
        problems
    }
}
