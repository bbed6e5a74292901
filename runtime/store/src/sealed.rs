//! Small files that say whether they are whole: one line with kind, version and hash, then the content.
use crate::Digest;

/// The version of every sealed format so far.
const VERSION: &str = "1";

/// `body` below a line that names its kind and its hash.
pub fn seal(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut file = format!("muse-{kind} {VERSION} {}\n", Digest::of_bytes(body)).into_bytes();
    file.extend_from_slice(body);
    file
}

/// The content of a sealed file, or what is wrong with it.
pub fn unseal<'a>(kind: &str, file: &'a [u8]) -> Result<&'a [u8], String> {
    let end = file.iter().position(|&byte| byte == b'\n').ok_or("it is cut short")?;
    let (line, rest) = file.split_at_checked(end).ok_or("it is cut short")?;
    let body = rest.get(1..).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| "its first line is no text")?;
    let mut words = line.split(' ');
    let (name, version, digest) = (words.next(), words.next(), words.next());
    if name.and_then(|name| name.strip_prefix("muse-")) != Some(kind) || words.next().is_some() {
        return Err(format!("it does not begin as a muse-{kind} file"));
    }
    if version != Some(VERSION) {
        return Err(format!("it has version {}, this muse reads {VERSION}", version.unwrap_or("none")));
    }
    let digest: Digest = digest.and_then(|text| text.parse().ok()).ok_or("its hash is no hash")?;
    if Digest::of_bytes(body) != digest {
        return Err("its content does not match its hash".into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flip_and_cut_is_noticed() {
        let whole = seal("record", br#"{"a": 1}"#);
        assert_eq!(unseal("record", &whole).unwrap(), br#"{"a": 1}"#);
        assert!(unseal("lease", &whole).is_err());
        for at in 0..whole.len() {
            assert!(unseal("record", &whole[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(unseal("record", &flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = whole.clone();
        longer.push(b' ');
        assert!(unseal("record", &longer).is_err());
    }
}
