//! The least that durable can cost: a preallocated file, one thread that writes what waits and
//! syncs once for all of it.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use anyhow::Context;
use tokio::sync::oneshot;

/// Size of the file; the writer begins again at its start when it is full.
const SIZE: u64 = 64 << 20;
/// Most records in one sync.
const GROUP: usize = 256;

type Append = (Vec<u8>, oneshot::Sender<()>);

/// A handle to the log.
#[derive(Clone)]
pub(crate) struct Log {
    appends: SyncSender<Append>,
}

impl Log {
    /// Makes the file and starts its thread, which ends with the last handle.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).context("cannot make the log")?;
        // Written, not only reserved: a sync then has no metadata to write.
        let zeros = vec![0; 1 << 20];
        for at in (0..SIZE).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        let (appends, waiting) = sync_channel(4_096);
        std::thread::Builder::new().name("floor log".to_owned()).spawn(move || write(&file, &waiting))?;
        Ok(Self { appends })
    }

    /// Appends a record; returns once it is durable.
    ///
    /// # Errors
    /// If the log's thread failed.
    pub(crate) async fn append(&self, record: Vec<u8>) -> anyhow::Result<()> {
        let (done, durable) = oneshot::channel();
        self.appends.try_send((record, done)).context("the log cannot keep up")?;
        durable.await.context("the log failed")
    }
}

fn write(file: &File, waiting: &Receiver<Append>) {
    let mut at = 0;
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP - 1));
        let bytes: Vec<u8> = group.iter().flat_map(|(record, _)| record).copied().collect();
        at = if at + bytes.len() as u64 > SIZE { 0 } else { at };
        if file.write_all_at(&bytes, at).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        at += bytes.len() as u64;
        for (_, done) in group {
            // The waiter may be gone.
            let _ = done.send(());
        }
    }
}
