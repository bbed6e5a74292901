//! A sequence as training takes it: inputs, and labels that are the inputs shifted by one, which is done here alone.

/// The label of a position that carries no loss.
pub const IGNORED: i32 = -100;

/// A part of a sequence that is of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its document.
    pub document: u64,
    /// The place of its first token in the document.
    pub offset: u64,
    /// Its first position in the sequence.
    pub start: usize,
    /// How many positions it has.
    pub length: usize,
}

/// A row of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    inputs: Vec<u32>,
    labels: Vec<i32>,
    segments: Vec<Segment>,
}

impl Sequence {
    pub(super) fn new(context: usize) -> Self {
        let (inputs, labels) = (Vec::with_capacity(context), Vec::with_capacity(context));
        Self { inputs, labels, segments: Vec::new() }
    }

    /// Adds a segment: its tokens, and one more where its document goes on, each with whether it carries loss.
    ///
    /// This is the one shift: the label of a position is the token behind it in its document, where there is one that
    /// carries loss. So the last token of a document predicts nothing.
    pub(super) fn push(&mut self, segment: Segment, tokens: &[u32], learned: &[bool]) {
        self.inputs.extend(tokens.iter().take(segment.length));
        let label = |at: usize| match (tokens.get(at + 1), learned.get(at + 1)) {
            (Some(token), Some(true)) => i32::try_from(*token).unwrap_or(IGNORED),
            _ => IGNORED,
        };
        self.labels.extend((0..segment.length).map(label));
        self.segments.push(segment);
    }

    pub(super) fn fill(&mut self, context: usize, with: u32) {
        self.inputs.resize(context, with);
        self.labels.resize(context, IGNORED);
    }

    /// A token a position, as many as the context; what no segment covers is end of text.
    pub fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// What each position predicts, or [`IGNORED`].
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// The documents in it, in order. Attention that stops at bounds stops at these.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many positions hold tokens; the rest is filled up.
    pub fn used(&self) -> usize {
        self.segments.last().map_or(0, |last| last.start + last.length)
    }

    /// The place of each position within its segment. What is filled up goes on from zero.
    pub fn positions(&self) -> Vec<u32> {
        let filled = self.inputs.len() - self.used();
        let lengths = self.segments.iter().map(|segment| segment.length).chain([filled]);
        lengths.flat_map(|length| (0..).take(length)).collect()
    }

    /// For each position the number of its segment in the sequence, from 0. What is filled up has the next number,
    /// so that no document sees it.
    pub fn segment_ids(&self) -> Vec<u32> {
        let filled = self.inputs.len() - self.used();
        let lengths = self.segments.iter().map(|segment| segment.length).chain([filled]);
        (0..).zip(lengths).flat_map(|(id, length)| std::iter::repeat_n(id, length)).collect()
    }
}
