//! What is no worker at all: it says to the agent whatever it likes.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::ExitCode,
};

use crate::flood;

/// That all walls stand, as a worker says it.
const READY: [u8; 10] = [0, 0, 0, 6, 0, 0, 0, 0, 0, 0];
/// That there is room for a message of an invocation.
const ROOM: u8 = 3;

/// What a worker would never say.
pub(crate) fn run(what: &str) -> ExitCode {
    let Ok(socket) = rustix::stdio::stdin().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut socket = UnixStream::from(socket);
    let said: &[u8] = match what {
        "length" => &u32::MAX.to_be_bytes(),
        "garbage" => &[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff],
        "nothing" => return ExitCode::SUCCESS,
        "silence" => &READY,
        // In each case the first invocation is 1.
        "ready, then garbage" => &[0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff],
        "ready, then a foreign call" => &[0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, ROOM, 77],
        "nested reason" => &flood::nested_reason(),
        // A frame of a known kind at a time when nobody asked.
        _ => match flood::at_work(what) {
            Some(flood) => return at_work(socket, &flood),
            None => &[0, 0, 0, 2, ROOM, 9],
        },
    };
    drop(socket.write_all(said));
    idle()
}

/// Says that once it has work.
fn at_work(mut socket: UnixStream, said: &[u8]) -> ExitCode {
    let begun = hear(&mut socket).and_then(|()| socket.write_all(&READY)).and_then(|()| hear(&mut socket));
    if begun.is_err() {
        return ExitCode::FAILURE;
    }
    drop(socket.write_all(said));
    idle()
}

/// Takes one frame of the agent.
fn hear(socket: &mut UnixStream) -> std::io::Result<()> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    socket.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])
}

fn idle() -> ExitCode {
    loop {
        std::thread::park();
    }
}
