//! Runs of a made-up training stage, and what stands in their folders.
use super::super::diary::Diary;
use super::*;
use std::path::{Path, PathBuf};

/// A run's diary and figures, fed with events as the dispatcher feeds them.
struct Run {
    diary: Diary,
    figures: Figures,
    folder: PathBuf,
}

impl Run {
    fn new(store: &Store, name: &str) -> Self {
        let folder = store.root().join("runs").join(name).join("base");
        let mut run = Self { diary: Diary::new(store, name), figures: Figures::new(store, name), folder };
        run.tell(EventKind::RunStarted {
            run: name.into(),
            pipeline: "tiny".into(),
            file: "tiny.yaml".into(),
            stages: 1,
            work: 1,
            files: 0,
            hashed: 0,
        });
        run
    }

    fn tell(&mut self, kind: EventKind) {
        let event = Event { time: "2026-01-31T12:00:00.500Z".into(), kind };
        self.diary.take(&event, true);
        self.figures.take(&event);
    }

    fn started(&mut self, key: &str, attempt: u32) {
        self.tell(EventKind::StageStarted { stage: "base".into(), key: key.into(), attempt });
    }

    fn metric(&mut self, step: u64, name: &str, value: f64) {
        self.tell(EventKind::Metric { stage: "base".into(), step, name: name.into(), value });
    }

    /// Steps with a loss that falls from 10, an evaluation at every tenth.
    fn train(&mut self, steps: impl Iterator<Item = u64>) {
        for step in steps {
            self.metric(step, "loss", 10.0 / (step + 1) as f64);
            self.metric(step, "lr", 0.001);
            if step % 10 == 0 {
                self.metric(step, "val_loss", 11.0 / (step + 1) as f64);
            }
        }
    }

    /// Without an end: as after a kill.
    fn over(self) -> PathBuf {
        self.folder
    }
}

fn steps(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| row::Row::read(line.as_bytes()).unwrap().step).collect()
}

/// The parts of an event file behind the 12 bytes and before the 4 bytes that frame each.
fn events(folder: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.to_string_lossy().contains("events.out.tfevents.")).unwrap();
    let bytes = std::fs::read(file).unwrap();
    let (mut events, mut rest) = (Vec::new(), bytes.as_slice());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        events.push(rest[12..12 + length].to_vec());
        rest = &rest[12 + length + 4..];
    }
    events
}

fn has(event: &[u8], text: &str) -> bool {
    event.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_stage_leaves_lines_events_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(&Store::open(folder.path()), "r");
    run.started("k", 1);
    run.train(0..=20);
    let base = run.over();
    assert_eq!(steps(&base), (0..=20).collect::<Vec<_>>());
    let lines = std::fs::read_to_string(base.join("metrics.jsonl")).unwrap();
    let tenth = r#"{"step":10,"time":"2026-01-31T12:00:00.500Z","loss":0.9090909090909091,"lr":0.001,"val_loss":1.0}"#;
    assert_eq!(lines.lines().nth(10).unwrap(), tenth);
    let events = events(&base);
    assert_eq!(events.len(), 1 + 21, "the head, and a record a step");
    assert!(has(&events[0], "brain.Event:2") && has(&events[11], "train/lr") && has(&events[11], "val/loss"));
    let svg = std::fs::read_to_string(base.join("curves.svg")).unwrap();
    assert!(svg.contains(">tiny:base<") && svg.contains("best 0.5238 at step 20"), "{svg}");
    assert!(std::fs::read(base.join("curves.png")).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    let left: Vec<_> = std::fs::read_dir(&base).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 4, "no half pictures: {left:?}");
}

#[test]
fn a_figure_told_once_is_a_line_and_no_curve() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(&Store::open(folder.path()), "r");
    run.started("k", 1);
    (0..5).for_each(|_| run.metric(0, "bytes_fetched", 7.0));
    let base = run.over();
    assert_eq!(steps(&base), [0; 5]);
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 1);
}

#[test]
fn a_run_that_goes_on_from_a_killed_one_has_its_part_of_the_curve() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let mut other = Run::new(&store, "20260101-000000-0");
    other.started("another key", 1);
    other.train(1..=50);
    other.over();
    let mut first = Run::new(&store, "20260102-000000-0");
    first.started("k", 1);
    first.train(1..=14);
    // Its last line was cut by the kill.
    let lines = first.over().join("metrics.jsonl");
    let text = std::fs::read_to_string(&lines).unwrap();
    std::fs::write(&lines, &text[..text.len() - 20]).unwrap();

    let mut second = Run::new(&store, "20260103-000000-0");
    second.started("k", 1);
    second.train(11..=20);
    let base = second.over();
    assert_eq!(steps(&base), (1..=20).collect::<Vec<_>>());
    assert_eq!(events(&base).len(), 1 + 20);

    // So has one that goes on from another key's result, told so by who found it.
    let mut longer = Run::new(&store, "20260103-120000-0");
    longer.started("a longer one", 1);
    longer.figures.goes_on("base", "20260103-000000-0".into(), "base".into());
    longer.train(18..=25);
    assert_eq!(steps(&longer.over()), (1..=25).collect::<Vec<_>>());

    // Killed soon, it is begun again: what it was offered is nearer than what it left.
    let mut again = Run::new(&store, "20260103-130000-0");
    again.started("a longer one", 1);
    again.figures.goes_on("base", "20260101-000000-0".into(), "base".into());
    again.train(41..=45);
    assert_eq!(steps(&again.over()), (1..=45).collect::<Vec<_>>());

    // One that begins at the beginning has nothing of the earlier ones.
    let mut third = Run::new(&store, "20260104-000000-0");
    third.started("k", 1);
    third.train(1..=3);
    assert_eq!(steps(&third.over()), [1, 2, 3]);
}

#[test]
fn what_is_done_again_is_shown_once_and_kept_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(&Store::open(folder.path()), "r");
    run.started("k", 1);
    run.train(1..=12);
    run.started("k", 2);
    run.train(6..=9);
    run.metric(9, "rolled_back", 7.0);
    run.train(8..=9);
    let base = run.over();
    let again = [6, 7, 8, 9, 8, 9];
    assert_eq!(steps(&base), (1..=12).chain(again).collect::<Vec<_>>());
    let text = std::fs::read_to_string(base.join("metrics.jsonl")).unwrap();
    assert_eq!(text.matches(r#""attempt":2"#).count(), again.len());
    // Field 7 of an event, a session that starts: 2 bytes that say so.
    let again = [0x3a, 2, 8, 1];
    let backs = events(&base)
        .iter()
        .filter(|event| event.ends_with(&again))
        .map(|event| event[10])
        .collect::<Vec<_>>();
    assert_eq!(backs, [6, 8], "where TensorBoard begins anew");
    let svg = std::fs::read_to_string(base.join("curves.svg")).unwrap();
    assert!(svg.contains("step 9  ·  1 rolled back"), "{svg}");
}

#[test]
fn a_disk_that_takes_nothing_fails_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(&Store::open(folder.path()), "r");
    // No folder can be made where a file is.
    std::fs::write(folder.path().join("runs/r/base"), "").unwrap();
    run.started("k", 1);
    run.train(1..=20);
    assert!(run.over().is_file());
}
