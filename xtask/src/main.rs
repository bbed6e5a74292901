//! Renews the generated files: `cargo run -p xtask` writes them, `cargo run -p xtask -- check` compares.
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("check") => true,
        Some(other) => return fail(&format!("`{other}` is not known; say `check` or nothing")),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, text) in muse::reference(muse_stages::BUILTIN) {
        let path = root.join(name);
        if check {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
                return fail(&format!("{name} is not current; `cargo run -p xtask` renews it"));
            }
            continue;
        }
        let made =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = made {
            return fail(&format!("{name}: {error}"));
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a program for developers, not a library")]
fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}
