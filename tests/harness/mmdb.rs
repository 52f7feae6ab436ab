//! Small databases of addresses in the MaxMind format, written as its specification says
//! (<https://maxmind.github.io/MaxMind-DB/>): nobody's data is in them.

use std::net::IpAddr;

use serde_json::{Value, json};

/// What follows a branch of the tree.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Record(usize),
}

/// A database of these records by network (`203.0.113.0/24`, `2001:db8::/32`).
pub fn database(kind: &str, records: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (network, record) in records {
        let (bits, length) = bits_of(network);
        insert(&mut nodes, bits, length, data.len());
        write(&mut data, "", record);
    }
    let count = nodes.len();
    let mut bytes = Vec::new();
    for branch in nodes.into_iter().flatten() {
        let number = match branch {
            Branch::Nothing => count,
            Branch::Node(node) => node,
            Branch::Record(offset) => count + 16 + offset,
        };
        bytes.extend_from_slice(&u32::try_from(number).expect("a small tree").to_be_bytes()[1..]);
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = json!({
        "node_count": count, "record_size": 24, "ip_version": 6, "database_type": kind, "languages": ["en"],
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_800_000_000,
        "description": { "en": "made by a test" },
    });
    write(&mut bytes, "", &metadata);
    bytes
}

/// The bits of a network in the tree, where IPv4 lies at ::/96, and how many of them are fixed.
fn bits_of(network: &str) -> (u128, u8) {
    let (address, length) = network.split_once('/').expect("a network");
    let length: u8 = length.parse().expect("a length");
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 96 + length),
        IpAddr::V6(v6) => (u128::from(v6), length),
    }
}

fn insert(nodes: &mut Vec<[Branch; 2]>, bits: u128, length: u8, offset: usize) {
    let mut node = 0;
    for place in 0..length {
        let side = usize::from(bits >> (127 - place) & 1 == 1);
        if place == length - 1 {
            nodes[node][side] = Branch::Record(offset);
            return;
        }
        node = match nodes[node][side] {
            Branch::Node(next) => next,
            _ => {
                nodes.push([Branch::Nothing; 2]);
                nodes[node][side] = Branch::Node(nodes.len() - 1);
                nodes.len() - 1
            }
        };
    }
}

/// The value of a name: its type and size, then itself.
fn write(bytes: &mut Vec<u8>, name: &str, value: &Value) {
    match value {
        Value::String(text) => {
            control(bytes, 2, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Bool(truth) => control(bytes, 14, usize::from(*truth)),
        Value::Number(number) => {
            let number = number.as_u64().expect("no other numbers are needed");
            // Of the numbers in the metadata the format says how long they are.
            let (kind, size) = match name {
                "build_epoch" => (9, 8),
                "record_size" | "ip_version" => (5, 2),
                "binary_format_major_version" | "binary_format_minor_version" => (5, 2),
                _ => (6, 4),
            };
            control(bytes, kind, size);
            bytes.extend_from_slice(&number.to_be_bytes()[8 - size..]);
        }
        Value::Object(fields) => {
            control(bytes, 7, fields.len());
            for (name, value) in fields {
                write(bytes, "", &Value::String(name.clone()));
                write(bytes, name, value);
            }
        }
        Value::Array(items) => {
            control(bytes, 11, items.len());
            items.iter().for_each(|item| write(bytes, "", item));
        }
        Value::Null => panic!("there is no null"),
    }
}

fn control(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, long) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    let short = u8::try_from(short).expect("five bits");
    if kind <= 7 {
        bytes.push(kind << 5 | short);
    } else {
        bytes.extend_from_slice(&[short, kind - 7]);
    }
    bytes.extend(long.map(|size| u8::try_from(size).expect("a short value")));
}
