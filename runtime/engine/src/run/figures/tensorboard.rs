//! TensorBoard's event files, as far as scalars need them.
//!
//! ```text
//! file   = record*
//! record = length: u64 LE, masked crc32c of these 8 bytes: u32 LE, event, masked crc32c of it: u32 LE
//! event  = protobuf { 1: wall time, double; 2: step, varint; and one of
//!                     3: "brain.Event:2", once, first
//!                     5: summary { 1: value { 1: tag; 2: float }* }
//!                     7: session { 1: START }: what was told from this step on is told again }
//! ```

/// What every file begins with.
pub(super) fn head(seconds: f64) -> Vec<u8> {
    let mut event = event(seconds, 0);
    text(&mut event, 3, "brain.Event:2");
    record(&event)
}

/// The figures of one step.
pub(super) fn scalars(seconds: f64, step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, figure) in values {
        let mut value = Vec::new();
        text(&mut value, 1, &tag(name));
        key(&mut value, 2, FOUR_BYTES);
        value.extend((*figure as f32).to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = event(seconds, step);
    bytes(&mut event, 5, &summary);
    record(&event)
}

/// The work goes on from `step`: points that stand there already are not shown.
pub(super) fn again(seconds: f64, step: u64) -> Vec<u8> {
    let mut event = event(seconds, step);
    const START: u8 = 1;
    bytes(&mut event, 7, &[1 << 3 | VARINT, START]);
    record(&event)
}

/// A figure's name with the group that TensorBoard shows it in.
fn tag(name: &str) -> String {
    match name {
        "loss" | "lr" | "grad_norm" | "skipped" | "rolled_back" => format!("train/{name}"),
        "best_val_loss" => "val/best_loss".into(),
        "tokens_per_second" | "mfu" | "memory" => format!("speed/{name}"),
        _ => name.strip_prefix("val_").map_or_else(|| name.to_owned(), |name| format!("val/{name}")),
    }
}

// Wire types of protobuf.
const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const LENGTH_FIRST: u8 = 2;
const FOUR_BYTES: u8 = 5;

fn event(seconds: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, EIGHT_BYTES);
    event.extend(seconds.to_le_bytes());
    key(&mut event, 2, VARINT);
    varint(&mut event, step);
    event
}

fn key(to: &mut Vec<u8>, field: u8, wire: u8) {
    to.push(field << 3 | wire);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn bytes(to: &mut Vec<u8>, field: u8, content: &[u8]) {
    key(to, field, LENGTH_FIRST);
    varint(to, content.len() as u64);
    to.extend(content);
}

fn text(to: &mut Vec<u8>, field: u8, content: &str) {
    bytes(to, field, content.as_bytes());
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(event);
    record.extend(masked(crc32c(event)).to_le_bytes());
    record
}

/// A checksum of data that may hold checksums, as the format has it.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |sum: u32, byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // From RFC 3720, B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The bytes that TensorBoard's own reader took on 2026-11-21, and gave back as what they were made from.
    #[test]
    fn the_bytes_stay_what_tensorboard_has_read() {
        let mut file = head(1_769_860_800.0);
        let values = [("loss", 3.25), ("val_loss", 3.5), ("mfu", 0.25), ("reward", -1.0)];
        file.extend(scalars(1_769_860_801.5, 300, &values.map(|(name, value)| (name.to_owned(), value))));
        file.extend(again(1_769_860_802.0, 201));
        let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden.tfevents.hex").trim_end());
    }

    #[test]
    fn tags_stand_in_groups() {
        let tags = ["loss", "val_loss", "best_val_loss", "val_accuracy", "memory", "reward"].map(tag);
        assert_eq!(
            tags,
            ["train/loss", "val/loss", "val/best_loss", "val/accuracy", "speed/memory", "reward"]
        );
    }
}
