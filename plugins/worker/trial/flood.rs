//! Frames that are made to take more of the agent than their bytes: by depth, by number, by being left again.

/// Kinds of messages of a worker, as they travel.
const READY: u8 = 0;
const DESCRIBED: u8 = 1;
const SAID: u8 = 2;
const ROOM: u8 = 3;
const ENDED: u8 = 4;
const REQUEST: u8 = 5;
const LEAVE: u8 = 8;
/// The first invocation.
const CALL: u8 = 1;
/// Something failed.
const FAILED: u8 = 1;
/// The number of the fault that is one of the process.
const OF_WORKER: u8 = 5;
/// It is not ready, for a reason of the host.
const NOT: u8 = 1;
/// The number of the fault that is a reason of the host, and the one that the reason which is the fault of a description
/// would have, if it could travel.
const IS_HOST: u8 = 4;
const DESCRIBING: u8 = 8;
/// Elements that take two bytes each on the way and many more once they are read.
const MANY: usize = 100_000;
/// Exchanges, several times as many as may be under way.
const LEFT: usize = 300;
/// Bytes of a frame that is all depth.
const DEEP: usize = 1 << 20;

/// What it says to its first work, if it is one of these.
pub(crate) fn at_work(what: &str) -> Option<Vec<u8>> {
    let said = match what {
        "nested end" => frame(&[&[ENDED, CALL, FAILED], &nested(&[IS_HOST, DESCRIBING])]),
        "nested description" => frame(&[&[DESCRIBED, CALL, FAILED], &nested(&[IS_HOST, DESCRIBING])]),
        // That the process could not be started, for a reason without a name.
        "blame" => frame(&[&[DESCRIBED, CALL, FAILED, OF_WORKER, 0, 0]]),
        "left exchanges" => (0..LEFT).flat_map(|n| [request(n, 0), leave(n)].concat()).collect(),
        // Lines of a log without text or fields.
        "many messages" => frame(&[&[SAID, CALL, 4, 2, 0, 0]]).repeat(MANY),
        "many headers" => request(0, MANY),
        // An outcome without output, with a new state.
        "long state" => frame(&[&[ENDED, CALL, 0, 0, 0, 0, 1], &varint(MANY), &empty(MANY)]),
        // As if it had taken a message that it was not sent.
        "too much room" => frame(&[&[ROOM, CALL]]),
        _ => return None,
    };
    Some(said)
}

/// A reason not to be ready that has a reason that has a reason.
pub(crate) fn nested_reason() -> Vec<u8> {
    frame(&[&[READY, NOT], &nested(&[DESCRIBING, IS_HOST])])
}

/// A fault of the host that is the fault of a description that is one of the host.
fn nested(turn: &[u8]) -> Vec<u8> {
    turn.repeat(DEEP / turn.len())
}

fn leave(exchange: usize) -> Vec<u8> {
    frame(&[&[LEAVE, CALL], &varint(exchange)])
}

fn request(exchange: usize, headers: usize) -> Vec<u8> {
    let (method, uri, no_body) = (b"\x03GET", b"\x13https://db.example/", [0, 0]);
    frame(&[&[REQUEST, CALL], &varint(exchange), method, uri, &varint(headers), &empty(headers), &no_body])
}

/// Pairs of nothing and nothing.
fn empty(pairs: usize) -> Vec<u8> {
    vec![0; 2 * pairs]
}

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let bytes = parts.concat();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], &*bytes].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
