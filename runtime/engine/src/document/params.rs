//! The parameters as they hold: the file's, over them a preset, over that `--set`, and names in them replaced.
use super::include::{Main, mapping};
use super::interpolate::{Env, Mode, Scope, interpolate};
use super::names;
use super::node::{Content, Key, Node, Span};
use super::parse::{DEEPEST, parse_from};
use super::pieces::names_in;
use super::session::Session;
use crate::diagnostic::{Source, nearest};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Parameters by name.
pub(crate) type Params = BTreeMap<Arc<str>, Node>;

/// Gathers the parameters. Problems go to the session.
pub(crate) fn settle(session: &mut Session, main: &Main, preset: Option<&str>, sets: &[String]) -> Params {
    let mut params = Params::new();
    for (key, node) in &main.given.params.fields {
        names::check(session, key, "a parameter");
        params.insert(key.name.clone(), Node::clone(node));
    }
    let presets = take_preset(session, main, preset, &params);
    params.extend(presets);
    for set in sets {
        take_set(session, set, &mut params, main.incomplete);
    }
    let params = replace_names(session, params);
    session.parameters_done();
    params
}

/// The chosen preset's values; the names of all presets are checked.
fn take_preset(
    session: &mut Session,
    main: &Main,
    preset: Option<&str>,
    params: &Params,
) -> Vec<(Arc<str>, Node)> {
    let mut taken = Vec::new();
    for (key, node) in &main.presets {
        names::check(session, key, "a preset");
        for (param, value) in mapping(session, node, &format!("the preset `{}`", key.name)) {
            if !params.contains_key(&param.name) && !main.incomplete {
                unknown(session, param.span, &param.name, params);
            } else if preset == Some(&*key.name) {
                taken.push((param.name.clone(), value.clone()));
            }
        }
    }
    if let Some(preset) = preset.filter(|preset| !main.presets.iter().any(|(key, _)| *key.name == **preset)) {
        let names: Vec<&str> = main.presets.iter().map(|(key, _)| &*key.name).collect();
        let span = command_line(session, format!("--preset {preset}"), "--preset ".len());
        let problem = session.at(span, format!("there is no preset `{preset}`"));
        let problem = match nearest(preset, names.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => problem.help("the pipeline has none"),
            None => problem.help(format!("there are {}", names.join(", "))),
        };
        session.add(span, problem);
    }
    taken
}

/// A piece of the command line as a source of its own.
fn command_line(session: &mut Session, text: String, from: usize) -> Span {
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let name = text.split(' ').next().unwrap_or_default().into();
    let source = session.source(Source { name, folder: PathBuf::new(), text });
    Span { source, start: u32::try_from(from).unwrap_or(0).min(end), end }
}

fn take_set(session: &mut Session, set: &str, params: &mut Params, incomplete: bool) {
    const FLAG: &str = "--set ";
    let whole = command_line(session, format!("{FLAG}{set}"), FLAG.len());
    let Some((name, _)) = set.split_once('=') else {
        let problem = session.at(whole, format!("`{set}` sets nothing"));
        session.add(whole, problem.help("write `--set NAME=VALUE`"));
        return;
    };
    let end = whole.start.saturating_add(u32::try_from(name.len()).unwrap_or(0));
    let key = Key { name: name.trim().into(), span: Span { end, ..whole } };
    let value = parse_from(session, whole.source, end as usize + 1);
    if !params.contains_key(&key.name) {
        if !incomplete {
            unknown(session, key.span, &key.name, params);
        }
        return;
    }
    if let Some(mut value) = value {
        if matches!(value.content, Content::Null) {
            value.span = whole;
        }
        params.insert(key.name, value);
    }
}

fn unknown(session: &mut Session, span: Span, name: &str, params: &Params) {
    let problem = session.at(span, format!("there is no parameter `{name}`"));
    let problem = match nearest(name, params.keys().map(|name| &**name)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if params.is_empty() => problem.help("the pipeline has no `params`"),
        None => {
            let names: Vec<&str> = params.keys().map(|name| &**name).collect();
            problem.help(format!("there are {}", names.join(", ")))
        }
    };
    session.add(span, problem);
}

/// Replaces `${params.x}` inside of parameters, each after those that it names.
fn replace_names(session: &mut Session, params: Params) -> Params {
    let mut done = Params::new();
    let mut way: Vec<Arc<str>> = Vec::new();
    let names: Vec<Arc<str>> = params.keys().cloned().collect();
    for name in &names {
        settle_one(session, &params, name, &mut done, &mut way);
    }
    done
}

/// A parameter may name another one that names another one, but not for ever.
const LONGEST_WAY: usize = 64;

fn settle_one(
    session: &mut Session,
    params: &Params,
    name: &Arc<str>,
    done: &mut Params,
    way: &mut Vec<Arc<str>>,
) {
    let Some(node) = params.get(name).filter(|_| !done.contains_key(name)) else { return };
    let mut needed = Vec::new();
    names_in(node, "params", &mut needed);
    way.push(name.clone());
    let mut broken = false;
    for needed in needed {
        if let Some(from) = way.iter().position(|open| **open == *needed) {
            let mut round: Vec<&str> = way[from..].iter().map(|name| &**name).collect();
            round.extend(round.first().copied());
            session
                .report(node.span, format!("parameters name each other in a circle: {}", round.join(" -> ")));
            broken = true;
        } else if way.len() >= LONGEST_WAY {
            session.report(
                node.span,
                format!("parameters name each other more than {LONGEST_WAY} times in a row"),
            );
            broken = true;
        } else if let Some((needed, _)) = params.get_key_value(needed) {
            settle_one(session, params, needed, done, way);
        }
    }
    way.pop();
    let settled = if broken {
        Node::new(node.span, Content::Unknown)
    } else {
        let scope = Scope {
            params: &with_unknown(params, done, node),
            matrix: None,
            env: Env::Unknown,
            inputs: &[],
            outputs: &[],
        };
        interpolate(session, &scope, node, None, Mode::default()).unwrap_or_else(|| node.clone())
    };
    let settled = if settled.depth() > DEEPEST {
        session.report(node.span, format!("the parameter `{name}` is nested deeper than {DEEPEST} levels"));
        Node::new(node.span, Content::Unknown)
    } else {
        settled
    };
    done.insert(name.clone(), settled);
}

/// The parameters that a value may name: those settled, and those that never will be, which were reported.
fn with_unknown(params: &Params, done: &Params, node: &Node) -> Params {
    let mut needed = Vec::new();
    names_in(node, "params", &mut needed);
    let mut scope = Params::new();
    if needed.is_empty() {
        return scope;
    }
    for (name, node) in params {
        let value = if needed.contains(&&**name) { done.get(name).cloned() } else { None };
        scope.insert(name.clone(), value.unwrap_or_else(|| Node::new(node.span, Content::Unknown)));
    }
    scope
}
