//! How byte-level tokenizers spell bytes: a visible letter for each.

/// The letter of each byte: itself where it can be seen, else one from U+0100 on.
pub(crate) fn letters() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| {
        let seen = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let letter = if seen { byte as u32 } else { next };
        next += u32::from(!seen);
        char::from_u32(letter).unwrap_or_default()
    })
}

/// The letters of some bytes.
pub(crate) fn spell(letters: &[char; 256], bytes: &[u8]) -> String {
    bytes.iter().map(|byte| letters[usize::from(*byte)]).collect()
}

/// A token as people read it: its text, and `\xE3` for bytes that are no whole character.
pub(crate) fn readable(letters: &[char; 256], token: &str) -> String {
    let byte =
        |letter| letters.iter().position(|one| *one == letter).and_then(|byte| u8::try_from(byte).ok());
    let Some(bytes) = token.chars().map(byte).collect::<Option<Vec<u8>>>() else { return token.to_owned() };
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_library() {
        let letters = letters();
        let theirs = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        assert!(letters.iter().all(|letter| theirs.contains(letter)));
        assert_eq!(spell(&letters, " a\n日\0".as_bytes()), "ĠaĊæĹ¥Ā");
        assert_eq!(readable(&letters, "ĠaæĹ¥"), " a日");
        assert_eq!(readable(&letters, "¥a"), "\\xA5a");
        assert_eq!(readable(&letters, "日"), "日");
    }
}
