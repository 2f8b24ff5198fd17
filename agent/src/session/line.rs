//! One stream to the controller, both ways.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use wherry_domain::time::Timestamp;
use wherry_proto::{
    MAX_FRAME,
    frame::{Attempt, FromAgent, FromController},
    wire::{self, agent_service_client::AgentServiceClient},
};

/// Frames on their way into the stream.
const OUTBOUND: usize = 256;
/// A controller that reads nothing for so long is left.
const BLOCKED: Duration = Duration::from_secs(30);
/// How long the last words may take.
const CLOSING: Duration = Duration::from_secs(2);
/// Heartbeats that may wait for their acknowledgement.
const UNANSWERED: usize = 32;

/// Why a line cannot be used any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// It ended with a status.
    Status(Box<Status>),
    /// It ended without a word.
    Ended,
    /// The controller does not read, or does not answer heartbeats.
    Silent,
    /// The controller talks nonsense.
    Nonsense(String),
}

/// One stream, before and after the welcome.
pub(super) struct Line {
    outbound: mpsc::Sender<wire::AgentFrame>,
    inbound: Streaming<wire::ControllerFrame>,
    /// When the hello was made, before the line was opened: leases that the welcome renews count from then.
    pub(super) said_hello: Timestamp,
    /// Number of the last result sent on it.
    pub(super) sent: u64,
    beats: VecDeque<Beat>,
    next_beat: u64,
}

/// A heartbeat that was sent.
pub(super) struct Beat {
    pub(super) number: u64,
    pub(super) sent: Timestamp,
    pub(super) attempts: Vec<Attempt>,
}

impl Line {
    /// Opens the stream and sends the first frame, which the controller waits for before it answers.
    pub(super) async fn open(channel: Channel, hello: FromAgent, said_hello: Timestamp) -> Result<Self, Status> {
        let (outbound, frames) = mpsc::channel(OUTBOUND);
        // The queue is empty, so there is room.
        drop(outbound.try_send(hello.into_wire()));
        let mut client =
            AgentServiceClient::new(channel).max_decoding_message_size(MAX_FRAME).max_encoding_message_size(MAX_FRAME);
        let inbound = client.connect(ReceiverStream::new(frames)).await?.into_inner();
        Ok(Self { outbound, inbound, said_hello, sent: 0, beats: VecDeque::new(), next_beat: 1 })
    }

    /// Queues a frame.
    pub(super) async fn send(&self, frame: FromAgent) -> Result<(), Broken> {
        match time::timeout(BLOCKED, self.outbound.send(frame.into_wire())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Broken::Ended),
            Err(_) => Err(Broken::Silent),
        }
    }

    /// The next frame that this build knows.
    pub(super) async fn next(&mut self) -> Result<FromController, Broken> {
        loop {
            let frame = self.inbound.message().await.map_err(|status| Broken::Status(Box::new(status)))?;
            match FromController::from_wire(frame.ok_or(Broken::Ended)?) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => tracing::debug!("ignored a frame of an unknown kind"),
                Err(invalid) => return Err(Broken::Nonsense(invalid.to_string())),
            }
        }
    }

    /// Says that nothing more will come, and lets what was said arrive.
    pub(super) async fn close(self) {
        let Self { outbound, mut inbound, .. } = self;
        drop(outbound);
        let ended = async { while let Ok(Some(_)) = inbound.message().await {} };
        // A controller that does not end its side has still had the time to read ours.
        drop(time::timeout(CLOSING, ended).await);
    }

    /// Notes a heartbeat that is about to be sent, and gives its number. Too many unanswered ones mean that nobody
    /// is there.
    pub(super) fn beat(&mut self, sent: Timestamp, attempts: Vec<Attempt>) -> Result<u64, Broken> {
        if self.beats.len() >= UNANSWERED {
            return Err(Broken::Silent);
        }
        let number = self.next_beat;
        self.next_beat += 1;
        self.beats.push_back(Beat { number, sent, attempts });
        Ok(number)
    }

    /// The heartbeat that was acknowledged; older ones are answered with it.
    pub(super) fn answered(&mut self, number: u64) -> Option<Beat> {
        while let Some(beat) = self.beats.pop_front() {
            if beat.number == number {
                return Some(beat);
            }
            if beat.number > number {
                self.beats.push_front(beat);
                return None;
            }
        }
        None
    }

    /// When the oldest unanswered heartbeat was sent.
    pub(super) fn waiting_since(&self) -> Option<Timestamp> {
        self.beats.front().map(|beat| beat.sent)
    }
}
