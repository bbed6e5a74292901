//! What muse says of itself: help pages, completions, man pages.
use crate::support::TestContext;
use std::process::Command;

#[test]
fn no_command_is_a_mistake_that_shows_the_way() {
    let context = TestContext::new();
    context.muse::<&str>([]).ends(2).says("First steps:").says("Usage: muse");
    context.muse(["--version"]).ok().prints("muse 0.1.0");
    context.muse(["valdate"]).ends(2).says("'validate'");
}

#[test]
fn the_page_of_run_teaches() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.muse(["run", "--help"]).ok().stdout);
}

#[test]
fn the_page_of_validate_teaches() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.muse(["validate", "--help"]).ok().stdout);
}

#[test]
fn every_command_of_the_contract_has_a_page() {
    let context = TestContext::new();
    let commands = "run plan validate why status log runs diff graph expand update get adopt gc verify stages init \
                    schema params inspect doctor completions man";
    for command in commands.split_whitespace() {
        context.muse([command, "--help"]).ok().prints("Examples:").prints(&format!("muse {command}"));
    }
}

#[test]
fn completions_are_what_each_shell_can_read() {
    let context = TestContext::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = context.muse(["completions", shell]).ok().prints("keep-going").stdout;
        context.write(shell, script);
        // Only where the shell is installed; bash is wherever these tests run.
        if let Ok(status) = Command::new(shell).arg("-n").arg(context.path(shell)).status() {
            assert!(status.success(), "{shell} does not read its completions");
        }
    }
    context.muse(["completions", "tcsh"]).ends(2).says("bash");
}

#[test]
fn man_pages_are_written() {
    let context = TestContext::new();
    context.muse(["man", "man/man1"]).ok();
    assert!(context.read("man/man1/muse.1").contains(".TH muse 1"));
    assert!(context.read("man/man1/muse-run.1").contains("keep\\-going"));
}
