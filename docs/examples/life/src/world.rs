//! A world of cells without edges: a line of text for each row, `#` for a cell that lives.
use crate::Rule;
use muse_stage::StageError;
use std::fs;
use std::path::Path;

/// The cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct World {
    rows: Vec<Vec<bool>>,
}

/// A world on its way.
pub(crate) struct Saved {
    pub(crate) step: u64,
    pub(crate) world: World,
}

impl World {
    /// The same cells for the same seed, on every machine.
    pub(crate) fn new(width: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut cell = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.is_multiple_of(3)
        };
        Self { rows: (0..width).map(|_| (0..width).map(|_| cell()).collect()).collect() }
    }

    /// One step on.
    pub(crate) fn next(&self, rule: &Rule) -> Self {
        let height = self.rows.len();
        let next = |y: usize| {
            let around = [(y + height - 1) % height, y, (y + 1) % height].map(|y| &self.rows[y]);
            let width = self.rows[y].len();
            let lives = |x: usize| {
                let columns = [(x + width - 1) % width, x, (x + 1) % width];
                let near =
                    around.iter().flat_map(|row| columns.map(|x| row[x])).filter(|lives| *lives).count();
                if self.rows[y][x] {
                    rule.survives.iter().any(|count| usize::from(*count) + 1 == near)
                } else {
                    rule.born.iter().any(|count| usize::from(*count) == near)
                }
            };
            (0..width).map(lives).collect()
        };
        Self { rows: (0..height).map(next).collect() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, StageError> {
        fs::read_to_string(path).map(|text| Self::parse(&text)).map_err(StageError::io(path))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), StageError> {
        fs::write(path, self.text()).map_err(StageError::io(path))
    }

    /// Whole or not at all: a stop in the middle leaves the file of before.
    pub(crate) fn save(&self, step: u64, path: &Path) -> Result<(), StageError> {
        let half = path.with_extension("half");
        fs::write(&half, format!("{step}\n{}", self.text())).map_err(StageError::io(&half))?;
        fs::rename(&half, path).map_err(StageError::io(path))
    }

    fn parse(text: &str) -> Self {
        Self { rows: text.lines().map(|line| line.bytes().map(|byte| byte == b'#').collect()).collect() }
    }

    fn text(&self) -> String {
        let line =
            |row: &Vec<bool>| row.iter().map(|&lives| if lives { '#' } else { '.' }).chain(['\n']).collect();
        self.rows.iter().map(line).collect::<Vec<String>>().concat()
    }
}

impl Saved {
    /// What an earlier attempt left. A file that does not read is of no use: begin again.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (step, world) = text.split_once('\n')?;
        Some(Self { step: step.parse().ok()?, world: World::parse(world) })
    }
}
