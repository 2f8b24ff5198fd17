//! The run's blobs, which stay with the agent: moved piece by piece, one thing at a time.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use wherry_host::{BlobError, BlobWish};

use super::ToAgent;
use crate::frame::{BlobAnswer, BlobAsk, FromWorker};

/// Bytes that move at once.
const PIECE: usize = 512 << 10;

/// Carries out wishes until there can be no more.
pub(super) async fn serve(
    call: u32,
    limit: usize,
    to_agent: ToAgent,
    mut wishes: mpsc::Receiver<BlobWish>,
    mut answers: mpsc::Receiver<BlobAnswer>,
) {
    let full = BlobError::Full { limit };
    while let Some(wish) = wishes.recv().await {
        let mut talk = Talk { call, to_agent: &to_agent, answers: &mut answers };
        // An instance that is gone needs no answer.
        match wish {
            BlobWish::Get { handle, answer } => drop(answer.send(talk.get(&handle).await)),
            BlobWish::Keep { content, answer } => drop(answer.send(talk.keep(content).await.unwrap_or(Err(full)))),
        }
    }
}

struct Talk<'a> {
    call: u32,
    to_agent: &'a ToAgent,
    answers: &'a mut mpsc::Receiver<BlobAnswer>,
}

impl Talk<'_> {
    async fn ask(&mut self, ask: BlobAsk) -> Option<BlobAnswer> {
        self.to_agent.send(&FromWorker::Blob { call: self.call, ask }).await.then_some(())?;
        self.answers.recv().await
    }

    async fn get(&mut self, handle: &str) -> Option<Bytes> {
        let mut content = BytesMut::new();
        loop {
            let offset = u64::try_from(content.len()).unwrap_or(u64::MAX);
            let BlobAnswer::Content(found) = self.ask(BlobAsk::Read { handle: handle.to_owned(), offset }).await?
            else {
                return None;
            };
            let (whole, piece) = found?;
            content.extend_from_slice(&piece);
            if piece.is_empty() || u64::try_from(content.len()).unwrap_or(u64::MAX) >= whole {
                return Some(content.freeze());
            }
        }
    }

    async fn keep(&mut self, mut content: Bytes) -> Option<Result<String, BlobError>> {
        while !content.is_empty() {
            let data = content.split_to(content.len().min(PIECE));
            match self.ask(BlobAsk::Append { data }).await? {
                BlobAnswer::Appended(Ok(())) => {}
                BlobAnswer::Appended(Err(full)) => return Some(Err(full)),
                BlobAnswer::Content(_) | BlobAnswer::Kept(_) => return None,
            }
        }
        match self.ask(BlobAsk::Finish).await? {
            BlobAnswer::Kept(kept) => Some(kept),
            BlobAnswer::Content(_) | BlobAnswer::Appended(_) => None,
        }
    }
}
