//! Puts paths in the place of `${in.NAME}` and `${out.NAME}`, and `${` in the place of `$${`.

/// The text as the shell or the program gets it. Paths are relative to the work folder, so that a command that
/// prints them makes the same bytes on every machine.
pub(crate) fn fill(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(unescaped) = before.strip_suffix('$') {
            filled.push_str(unescaped);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        filled.push_str(before);
        match from.find('}').and_then(|end| Some((path(&from[2..end])?, end))) {
            Some((path, end)) => {
                filled.push_str(&path);
                rest = &from[end + 1..];
            }
            None => {
                filled.push_str("${");
                rest = &from[2..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The path that `in.x` or `out.x` stands for. Their names were checked when the pipeline was read.
fn path(name: &str) -> Option<String> {
    let (side, name) = name.split_once('.')?;
    let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    (valid && (side == "in" || side == "out")).then(|| format!("{side}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn ports_become_paths_and_the_rest_is_the_shells() {
        assert_eq!(fill("cp ${in.text} ${out.a.b}"), "cp in/text out/a.b");
        assert_eq!(fill("echo ${HOME} ${x:-${in.y}} $1 ${#in.x}"), "echo ${HOME} ${x:-in/y} $1 ${#in.x}");
        assert_eq!(fill("$${in.text} $$${in.text}"), "${in.text} $${in.text}");
        assert_eq!(fill("${in.text ${in.} ${in.a/b} 語${out.語}"), "${in.text ${in.} ${in.a/b} 語${out.語}");
        assert_eq!(fill("${"), "${");
    }
}
