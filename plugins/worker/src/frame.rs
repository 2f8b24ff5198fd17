//! What agent and worker say to each other.
//!
//! Nothing is sent that the other side has not made room for: of each kind of message only a few may be under way, and
//! whoever takes one says that there is room again. So a reader never has to wait for anybody, and one slow invocation
//! never holds up another.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use wherry_host::{
    BlobError, ConnectorFault, EgressError, Few, FromConnector, HostError, HostSettings, Outcome, REQUEST_HEADERS,
    Task, ToConnector,
};

/// Messages to a connector that may be under way.
pub(crate) const TO_CONNECTOR: usize = 2;
/// Messages of a connector that may be under way.
pub(crate) const FROM_CONNECTOR: usize = 4;
/// Parts of one body that may be under way.
pub(crate) const PARTS: usize = 4;
/// Exchanges that end may overlap with those that begin.
pub(crate) const ENDING: usize = 8;
/// Frames that can wait for one invocation: of every exchange its parts both ways, its beginning and its end, twice,
/// because the next may begin while the last words of one are under way; and everything else.
pub(crate) fn per_call(parallel: usize) -> usize {
    (parallel + ENDING) * 2 * (2 * PARTS + 4) + 2 * (TO_CONNECTOR + FROM_CONNECTOR) + 16
}

/// The first thing a worker reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    /// The process that started it, without which it has no reason to live.
    pub(crate) parent: i32,
    pub(crate) settings: HostSettings,
    /// Whether there is code to load: without, it only says which walls it has.
    pub(crate) code: bool,
}

/// Which walls a worker could put up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Namespaces of its own: users, network, messages.
    pub namespaces: Wall,
    /// Landlock: no file but its own code.
    pub landlock: Wall,
    /// Seccomp: no system call that could open, start or reach anything.
    pub seccomp: Wall,
    /// Limits on memory, processes and files.
    pub limits: Wall,
}

/// Whether a wall stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {
    /// It does.
    Stands,
    /// The system does not have it or does not allow it.
    #[default]
    Missing,
    /// It stands in part.
    Partial(String),
}

/// The first thing a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ready {
    Yes(Walls),
    No(HostError),
    /// The system refuses something that it cannot do without.
    Unable(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Describe {
        call: u32,
    },
    Begin {
        call: u32,
        task: Box<Task>,
        protected: Vec<String>,
        blob_bytes: usize,
    },
    Say {
        call: u32,
        message: ToConnector,
    },
    /// The sender of messages is gone.
    Silent {
        call: u32,
    },
    /// Nobody listens to the connector any more.
    Deaf {
        call: u32,
    },
    /// One more message of the connector may come.
    Room {
        call: u32,
    },
    /// Nobody wants the invocation any more.
    Stop {
        call: u32,
    },
    /// Unless the body comes in parts, the exchange is over, and its number free.
    Answer {
        call: u32,
        exchange: u32,
        answer: Result<AnswerHead, EgressError>,
    },
    Part {
        call: u32,
        exchange: u32,
        part: Part,
    },
    PartRoom {
        call: u32,
        exchange: u32,
    },
    /// An exchange is over, and its number free.
    Over {
        call: u32,
        exchange: u32,
    },
    Blob {
        call: u32,
        answer: BlobAnswer,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Ready(Ready),
    Described {
        call: u32,
        text: Result<String, ConnectorFault>,
    },
    Said {
        call: u32,
        message: FromConnector,
    },
    Room {
        call: u32,
    },
    Ended {
        call: u32,
        ended: Result<Outcome, ConnectorFault>,
    },
    Request {
        call: u32,
        exchange: u32,
        head: RequestHead,
    },
    Part {
        call: u32,
        exchange: u32,
        part: Part,
    },
    PartRoom {
        call: u32,
        exchange: u32,
    },
    /// The connector has lost interest in an exchange.
    Leave {
        call: u32,
        exchange: u32,
    },
    Blob {
        call: u32,
        ask: BlobAsk,
    },
}

impl FromWorker {
    /// The invocation it belongs to.
    pub(crate) fn call(&self) -> Option<u32> {
        match self {
            Self::Ready(_) => None,
            Self::Described { call, .. }
            | Self::Said { call, .. }
            | Self::Room { call }
            | Self::Ended { call, .. }
            | Self::Request { call, .. }
            | Self::Part { call, .. }
            | Self::PartRoom { call, .. }
            | Self::Leave { call, .. }
            | Self::Blob { call, .. } => Some(*call),
        }
    }

    /// Whether nothing follows it for its invocation.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Described { .. })
    }
}

impl ToWorker {
    pub(crate) fn call(&self) -> u32 {
        match self {
            Self::Describe { call }
            | Self::Begin { call, .. }
            | Self::Say { call, .. }
            | Self::Silent { call }
            | Self::Deaf { call }
            | Self::Room { call }
            | Self::Stop { call }
            | Self::Answer { call, .. }
            | Self::Part { call, .. }
            | Self::PartRoom { call, .. }
            | Self::Over { call, .. }
            | Self::Blob { call, .. } => *call,
        }
    }
}

pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// No more of them than a worker lets through.
fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Headers, D::Error> {
    Few::<_, REQUEST_HEADERS>::deserialize(from).map(|Few(headers)| headers)
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) uri: String,
    #[serde(deserialize_with = "few")]
    pub(crate) headers: Headers,
    pub(crate) body: BodyHead,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: BodyHead,
}

/// What a head says of its body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BodyHead {
    /// All of it, at most one chunk.
    Whole(Bytes),
    /// How long it says that it is; parts follow.
    Parts(Option<u64>),
}

/// A piece of a body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    Data(Bytes),
    Trailers(#[serde(deserialize_with = "few")] Headers),
    End,
    Failed(EgressError),
}

/// What a worker wants of the run's blobs: one thing at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BlobAsk {
    Read { handle: String, offset: u64 },
    Append { data: Bytes },
    Finish,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BlobAnswer {
    /// Content from the offset on, with the whole length; nothing if there is no such blob.
    Content(Option<(u64, Bytes)>),
    Appended(Result<(), BlobError>),
    Kept(Result<String, BlobError>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    /// Longer than any stack is deep.
    const DEEP: usize = 1 << 20;

    fn travelled<T: Serialize>(frame: &T) -> Result<FromWorker, wire::WireError> {
        wire::decode(&wire::encode(frame).unwrap()[size_of::<u32>()..])
    }

    #[test]
    fn no_frame_of_a_worker_can_contain_itself() {
        let heads: [&[u8]; 5] = [&[0, 1], &[1, 1, 1], &[4, 1, 1], &[2, 1, 3, 1], &[6, 1, 1, 3]];
        for turn in (0..=15).flat_map(|one| (0..=15).map(move |other| [one, other])) {
            for head in heads {
                let bytes = [head, &turn.repeat(DEEP / 2)].concat();
                // Most mean nothing. What matters is that reading them ends, and not this process.
                drop(wire::decode::<FromWorker>(&bytes));
            }
        }
    }

    #[test]
    fn every_reason_not_to_be_ready_arrives_as_it_was_sent() {
        for error in [HostError::StaleCode("a".into()), HostError::NoDiscovery] {
            let Ok(FromWorker::Ready(Ready::No(arrived))) = travelled(&FromWorker::Ready(Ready::No(error.clone())))
            else {
                panic!("it is lost")
            };
            assert_eq!(arrived, error);
        }
    }

    #[test]
    fn a_request_has_as_many_headers_as_the_sandbox_lets_through_and_no_more() {
        let request = |headers| {
            let headers = vec![(String::new(), Vec::new()); headers];
            let head = RequestHead { method: "GET".into(), uri: "/".into(), headers, body: BodyHead::Parts(None) };
            travelled(&FromWorker::Request { call: 1, exchange: 0, head })
        };
        assert!(request(REQUEST_HEADERS).is_ok());
        assert!(request(REQUEST_HEADERS + 1).is_err());
        let trailers = |trailers| {
            let part = Part::Trailers(vec![(String::new(), Vec::new()); trailers]);
            travelled(&FromWorker::Part { call: 1, exchange: 0, part })
        };
        assert!(trailers(REQUEST_HEADERS).is_ok());
        assert!(trailers(REQUEST_HEADERS + 1).is_err());
    }

    #[test]
    fn a_state_has_as_many_keys_as_it_may_have_bytes_and_one_more() {
        let ended = |keys| {
            let state = Some(vec![(String::new(), Vec::new()); keys]);
            travelled(&FromWorker::Ended { call: 1, ended: Ok(Outcome { state, ..Outcome::default() }) })
        };
        assert!(ended((16 << 10) + 1).is_ok());
        assert!(ended((16 << 10) + 2).is_err());
    }
}
