//! What is wrong with files, for programs: JSON, and the workflow commands of GitHub.
use super::piece::Lines;
use muse_runtime::diagnostic::Diagnostic;
use serde::Serialize;

/// A diagnostic as `validate --json` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct JsonError {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
}

/// The diagnostics as `validate --json` tells them.
pub(crate) fn json(diagnostics: &[Diagnostic]) -> Vec<JsonError> {
    let mut lines = Lines::default();
    let mut error = |diagnostic: &Diagnostic| {
        let place = diagnostic.place.as_ref().map(|place| (place, lines.line_column(place)));
        JsonError {
            file: place.map(|(place, _)| place.file().display().to_string()),
            line: place.map(|(_, (line, _))| line),
            column: place.map(|(_, (_, column))| column),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }
    };
    diagnostics.iter().map(&mut error).collect()
}

/// The diagnostics as workflow commands: GitHub shows each beside the line of a pull request.
pub(crate) fn github(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for error in json(diagnostics) {
        let mut properties = vec![];
        properties.extend(error.file.map(|file| format!("file={}", github_property(&file))));
        properties.extend(error.line.map(|line| format!("line={line}")));
        properties.extend(error.column.map(|column| format!("col={column}")));
        let help = error.help.map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        let space = if properties.is_empty() { "" } else { " " };
        let message = github_text(&(error.message + &help));
        text += &format!("::error{space}{}::{message}\n", properties.join(","));
    }
    text
}

fn github_text(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn github_property(text: &str) -> String {
    github_text(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_runtime::diagnostic::{Place, Source};
    use std::path::PathBuf;
    use std::sync::Arc;

    fn errors() -> [Diagnostic; 2] {
        let source = Source {
            name: PathBuf::from("a,b:c.yaml"),
            folder: PathBuf::new(),
            text: "é: 1\nßx: 2\n".into(),
        };
        let place = Place { source: Arc::new(source), start: 8, end: 9 };
        [Diagnostic::at(place, "100% wrong").help("try\nagain"), Diagnostic::general("no file")]
    }

    #[test]
    fn json_has_null_where_there_is_no_place() {
        let text = serde_json::to_string(&json(&errors())).unwrap();
        assert_eq!(
            text,
            r#"[{"file":"a,b:c.yaml","line":2,"column":2,"message":"100% wrong","help":"try\nagain"},"#
                .to_owned()
                + r#"{"file":null,"line":null,"column":null,"message":"no file","help":null}]"#
        );
    }

    #[test]
    fn github_gets_one_escaped_line_each() {
        assert_eq!(
            github(&errors()),
            "::error file=a%2Cb%3Ac.yaml,line=2,col=2::100%25 wrong%0Ahelp: try%0Aagain\n::error::no file\n"
        );
    }
}
