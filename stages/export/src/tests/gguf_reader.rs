//! A small reader of GGUF files, by the format's description alone.
use super::{from_q4_0, from_q8_0};
use crate::gguf::trits::tests::{from_tq1_0, from_tq2_0};
use half::{bf16, f16};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// All of a file.
pub(super) struct Gguf {
    pub(super) keys: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, Found>,
}

/// A tensor.
pub(super) struct Found {
    /// Rows before columns.
    pub(super) shape: Vec<usize>,
    pub(super) kind: &'static str,
    pub(super) numbers: Vec<f32>,
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        let (head, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn size(&mut self) -> usize {
        u64::from_le_bytes(self.take()) as usize
    }

    fn text(&mut self) -> String {
        let len = self.size();
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8(head.to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            4 => json!(self.u32()),
            5 => json!(i32::from_le_bytes(self.take())),
            6 => json!(f32::from_le_bytes(self.take())),
            7 => json!(self.take::<1>()[0] == 1),
            8 => json!(self.text()),
            9 => {
                let (kind, len) = (self.u32(), self.size());
                (0..len).map(|_| self.value(kind)).collect()
            }
            other => panic!("a value of kind {other}"),
        }
    }
}

impl Gguf {
    pub(super) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut reader = Reader(&bytes);
        assert_eq!((&reader.take::<4>(), reader.u32()), (b"GGUF", 3));
        let (tensors, keys) = (reader.size(), reader.size());
        let keys: BTreeMap<_, _> = (0..keys)
            .map(|_| {
                let (key, kind) = (reader.text(), reader.u32());
                (key, reader.value(kind))
            })
            .collect();
        let infos: Vec<_> = (0..tensors)
            .map(|_| {
                let (name, sides) = (reader.text(), reader.u32());
                let mut shape: Vec<_> = (0..sides).map(|_| reader.size()).collect();
                shape.reverse();
                (name, shape, reader.u32(), reader.size())
            })
            .collect();
        let start = (bytes.len() - reader.0.len()).next_multiple_of(32);
        let mut end = start;
        let tensors = infos.into_iter().map(|(name, shape, kind, place)| {
            let count: usize = shape.iter().product();
            let (kind, len) = match kind {
                0 => ("f32", count * 4),
                1 => ("f16", count * 2),
                2 => ("q4_0", count / 32 * 18),
                8 => ("q8_0", count / 32 * 34),
                30 => ("bf16", count * 2),
                34 => ("tq1_0", count / 256 * 54),
                35 => ("tq2_0", count / 256 * 66),
                other => panic!("a tensor of kind {other}"),
            };
            assert_eq!(place % 32, 0);
            assert!(start + place >= end, "{name} begins within the one before");
            end = start + place + len;
            let bytes = &bytes[start + place..end];
            let two = || bytes.chunks_exact(2).map(|two| [two[0], two[1]]);
            let numbers = match kind {
                "f32" => {
                    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
                }
                "f16" => two().map(|two| f16::from_le_bytes(two).to_f32()).collect(),
                "bf16" => two().map(|two| bf16::from_le_bytes(two).to_f32()).collect(),
                "q8_0" => from_q8_0(bytes),
                "tq1_0" => from_tq1_0(bytes),
                "tq2_0" => from_tq2_0(bytes),
                _ => from_q4_0(bytes),
            };
            (name, Found { shape, kind, numbers })
        });
        let tensors = tensors.collect();
        assert_eq!(bytes.len(), end.next_multiple_of(32));
        Self { keys, tensors }
    }
}
