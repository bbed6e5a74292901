//! Finds stages that wait for each other in a circle.
use super::draft::Draft;
use super::pipeline::Entry;
use super::session::Session;
use std::collections::HashSet;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the way from where the walk began.
    Open,
    Done,
}

/// Reports each circle once, with its way and the place of every step.
pub(crate) fn report(session: &mut Session, drafts: &[Draft]) {
    let mut states = vec![State::New; drafts.len()];
    let mut told: HashSet<Vec<&str>> = HashSet::new();
    for start in 0..drafts.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        // A stage on the way, and its inputs that are still to be looked at.
        let mut way: Vec<(usize, Box<dyn Iterator<Item = &Entry> + '_>)> =
            vec![(start, inputs(&drafts[start]))];
        while let Some((at, entries)) = way.last_mut() {
            let Some(entry) = entries.next() else {
                states[*at] = State::Done;
                way.pop();
                continue;
            };
            match states[entry.stage] {
                State::New => {
                    states[entry.stage] = State::Open;
                    way.push((entry.stage, inputs(&drafts[entry.stage])));
                }
                State::Open => {
                    let from = way.iter().position(|(at, _)| *at == entry.stage).unwrap_or(0);
                    let round: Vec<usize> = way[from..].iter().map(|(at, _)| *at).collect();
                    tell(session, drafts, &round, entry, &mut told);
                }
                State::Done => {}
            }
        }
    }
}

fn inputs(draft: &Draft) -> Box<dyn Iterator<Item = &Entry> + '_> {
    Box::new(draft.ports.iter().flat_map(|port| port.entries.iter()))
}

/// `round` goes from a stage to what it takes, and so on; `last` leads back to its first.
fn tell<'d>(
    session: &mut Session,
    drafts: &'d [Draft],
    round: &[usize],
    last: &Entry,
    told: &mut HashSet<Vec<&'d str>>,
) {
    let mut bases: Vec<&str> = round.iter().map(|at| &*drafts[*at].base).collect();
    bases.sort_unstable();
    // The siblings of a matrix go round in the same way.
    if !told.insert(bases) {
        return;
    }
    let mut names: Vec<&str> = round.iter().map(|at| drafts[*at].name.as_str()).collect();
    names.extend(names.first().copied());
    let way = names.join(" -> ");
    let span = session.span_of(&last.place);
    let mut problem = session.at(span, format!("stages wait for each other in a circle: {way}"));
    for pair in round.windows(2) {
        let step = inputs(&drafts[pair[0]]).find(|entry| entry.stage == pair[1]);
        if let Some(entry) = step {
            problem = problem.also(
                entry.place.clone(),
                format!("`{}` takes `{}`", drafts[pair[0]].name, drafts[pair[1]].name),
            );
        }
    }
    session.add(span, problem.help("each arrow reads `takes`: remove one"));
}
