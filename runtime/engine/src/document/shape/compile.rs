//! From JSON Schema to rules. Knows what schemars writes, and what a plugin writes by hand in the same manner.
use super::{Field, Fields, Form, Marks, Pattern, Range, Rule, RuleId, Shape, Unit};
use muse_stage::mark;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// A schema nested deeper than this comes from nobody who means well.
const DEEPEST: usize = 64;

pub(super) fn compile(schema: &Value) -> Shape {
    let mut compiler = Compiler { whole: schema, rules: Vec::new(), known: HashMap::new() };
    let root = compiler.rule(schema, 0);
    let has_extendable = compiler.rules.iter().any(|rule| rule.marks.extendable);
    Shape { rules: compiler.rules, root, has_extendable, defaults: OnceLock::new() }
}

struct Compiler<'s> {
    whole: &'s Value,
    rules: Vec<Rule>,
    /// References that have a rule, or will have one.
    known: HashMap<String, RuleId>,
}

impl Compiler<'_> {
    fn add(&mut self, rule: Rule) -> RuleId {
        self.rules.push(rule);
        self.rules.len() - 1
    }

    fn rule(&mut self, schema: &Value, depth: usize) -> RuleId {
        let id = self.add(Rule::default());
        let rule = self.read(schema, depth);
        self.rules[id] = rule;
        id
    }

    fn read(&mut self, schema: &Value, depth: usize) -> Rule {
        let object = match schema {
            Value::Bool(false) => return Rule { form: Form::Never, ..Rule::default() },
            Value::Object(object) if depth <= DEEPEST => object,
            _ => return Rule::default(),
        };
        let marks: Vec<&str> = match object.get(mark::KEYWORD) {
            Some(Value::Array(marks)) => marks.iter().filter_map(Value::as_str).collect(),
            other => other.and_then(Value::as_str).into_iter().collect(),
        };
        let has = |mark: &str| marks.contains(&mark);
        let special = if has(mark::BYTES) {
            Some(Form::Unit(Unit::Bytes))
        } else if has(mark::COUNT) {
            Some(Form::Unit(Unit::Count))
        } else if has(mark::DURATION) {
            Some(Form::Unit(Unit::Duration))
        } else if has(mark::FILES) {
            Some(Form::Files)
        } else if has(mark::CONFIG) {
            let content = object.get("x-muse-content").unwrap_or(&Value::Bool(true));
            Some(Form::Config(self.rule(content, depth + 1)))
        } else {
            None
        };
        let form = match special {
            Some(form) if types(object).contains(&"null") => {
                let branches = vec![self.plain(form), self.plain(Form::Null)];
                Form::OneOf(branches)
            }
            Some(form) => form,
            None => self.form(object, depth),
        };
        let marks = Marks {
            execution: has(mark::EXECUTION),
            extendable: has(mark::EXTENDABLE),
            command: has(mark::COMMAND),
        };
        Rule { form, marks, default: object.get("default").cloned() }
    }

    fn plain(&mut self, form: Form) -> RuleId {
        self.add(Rule { form, ..Rule::default() })
    }

    fn form(&mut self, object: &Map<String, Value>, depth: usize) -> Form {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            return Form::Same(self.reference(reference, depth));
        }
        if let Some(value) = object.get("const") {
            return Form::Choice(vec![value.clone()]);
        }
        if let Some(Value::Array(values)) = object.get("enum") {
            return Form::Choice(values.clone());
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(Value::Array(branches)) = object.get(keyword) {
                return self.one_of(branches, depth);
            }
        }
        if let Some(Value::Array(parts)) = object.get("allOf") {
            return self.all_of(parts, object, depth);
        }
        let types = types(object);
        match types.as_slice() {
            [] if object.contains_key("properties") => self.typed("object", object, depth),
            [] => Form::Any,
            [one] => self.typed(one, object, depth),
            several => {
                let branches = several
                    .iter()
                    .map(|one| {
                        let form = self.typed(one, object, depth);
                        self.plain(form)
                    })
                    .collect();
                Form::OneOf(branches)
            }
        }
    }

    fn reference(&mut self, reference: &str, depth: usize) -> RuleId {
        if let Some(id) = self.known.get(reference) {
            return *id;
        }
        let id = self.add(Rule::default());
        self.known.insert(reference.to_owned(), id);
        let whole = self.whole;
        if let Some(target) = reference.strip_prefix('#').and_then(|pointer| whole.pointer(pointer)) {
            let rule = self.read(target, depth + 1);
            self.rules[id] = rule;
        }
        id
    }

    /// Branches that are all plain words become one choice, so that an error can list them.
    fn one_of(&mut self, branches: &[Value], depth: usize) -> Form {
        let mut words = Vec::new();
        let mut ids = Vec::new();
        for branch in branches {
            let rule = self.read(branch, depth + 1);
            match rule.form {
                Form::Choice(values) => words.extend(values),
                _ => ids.push(self.add(rule)),
            }
        }
        if ids.is_empty() {
            return Form::Choice(words);
        }
        if !words.is_empty() {
            let words = self.plain(Form::Choice(words));
            ids.insert(0, words);
        }
        match ids.as_slice() {
            [one] => Form::Same(*one),
            _ => Form::OneOf(ids),
        }
    }

    /// The fields of all parts together, where all are mappings; else the part that says most.
    fn all_of(&mut self, parts: &[Value], object: &Map<String, Value>, depth: usize) -> Form {
        let mut merged: Option<Fields> = None;
        let mut other = Form::Any;
        let mut rest = object.clone();
        rest.remove("allOf");
        for part in parts.iter().chain([&Value::Object(rest)]) {
            let id = self.rule(part, depth + 1);
            match self.follow(id) {
                Form::Map(fields) => {
                    let all = merged.get_or_insert_with(Fields::default);
                    all.known.extend(fields.known);
                    all.others = all.others.or(fields.others);
                }
                Form::Any => {}
                form => other = form,
            }
        }
        merged.map_or(other, Form::Map)
    }

    fn follow(&self, mut id: RuleId) -> Form {
        for _ in 0..self.rules.len() {
            match &self.rules[id].form {
                Form::Same(next) => id = *next,
                form => return form.clone(),
            }
        }
        Form::Any
    }

    fn typed(&mut self, name: &str, object: &Map<String, Value>, depth: usize) -> Form {
        let number = |key: &str| object.get(key).and_then(Value::as_f64);
        let size = |key: &str| object.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        match name {
            "null" => Form::Null,
            "boolean" => Form::Bool,
            "integer" => {
                let (mut least, mut most) = bounds(object.get("format").and_then(Value::as_str));
                let whole = |key: &str| {
                    let value = object.get(key)?;
                    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
                };
                least = whole("minimum").map_or(least, |n| least.max(n));
                most = whole("maximum").map_or(most, |n| most.min(n));
                least = whole("exclusiveMinimum").map_or(least, |n| least.max(n.saturating_add(1)));
                most = whole("exclusiveMaximum").map_or(most, |n| most.min(n.saturating_sub(1)));
                Form::Integer { least, most }
            }
            "number" => Form::Number(Range {
                least: number("minimum"),
                most: number("maximum"),
                above: number("exclusiveMinimum"),
                below: number("exclusiveMaximum"),
            }),
            "string" => Form::Text {
                shortest: size("minLength").unwrap_or(0),
                pattern: object.get("pattern").and_then(Value::as_str).and_then(Pattern::new),
            },
            "array" => {
                let item = self.rule(object.get("items").unwrap_or(&Value::Bool(true)), depth + 1);
                Form::List {
                    item,
                    fewest: size("minItems").unwrap_or(0),
                    most: size("maxItems").unwrap_or(usize::MAX),
                }
            }
            "object" => self.map(object, depth),
            _ => Form::Any,
        }
    }

    fn map(&mut self, object: &Map<String, Value>, depth: usize) -> Form {
        let required: Vec<&str> = match object.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut known = BTreeMap::new();
        if let Some(Value::Object(properties)) = object.get("properties") {
            for (name, schema) in properties {
                let rule = self.rule(schema, depth + 1);
                known.insert(name.clone(), Field { rule, required: required.contains(&name.as_str()) });
            }
        }
        let others = match object.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(self.rule(schema, depth + 1)),
            // Fields that are listed are all there are: a name that is not among them is a slip.
            None if !known.is_empty() => None,
            None => Some(self.rule(&Value::Bool(true), depth + 1)),
        };
        let names = object.get("propertyNames").and_then(|names| names.get("pattern"));
        let names = names.and_then(Value::as_str).and_then(Pattern::new);
        Form::Map(Fields { known, others, names })
    }
}

fn types(object: &Map<String, Value>) -> Vec<&str> {
    match object.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        other => other.and_then(Value::as_str).into_iter().collect(),
    }
}

fn bounds(format: Option<&str>) -> (i128, i128) {
    match format {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64" | "uint") => (0, u64::MAX.into()),
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("int64" | "int") => (i64::MIN.into(), i64::MAX.into()),
        _ => (i64::MIN.into(), u64::MAX.into()),
    }
}
