//! `wherry:connector/blobs`: files and attachments beside the records.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::{Guest, refusal};
use crate::bindings::blobs::{Host, HostBlob, HostBlobWriter};
use crate::bindings::types::{Error, ErrorKind};
use crate::blobs::{BlobError, GrowingBlob};
use crate::settings::contract::BLOB_CHUNK;
use crate::text;

/// Content that is complete.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Blob(Bytes);

/// Content that is being written; empty once it is finished, or if there was no room for it at all.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct BlobWriter(Result<GrowingBlob, Error>);

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        refusal(ErrorKind::Data, error.code(), error.to_string())
    }
}

fn finished() -> Error {
    refusal(ErrorKind::Internal, "sandbox.blob_finished", "this blob is finished; open another writer for more")
}

impl Host for Guest {
    async fn open(&mut self, handle: String) -> wasmtime::Result<Result<Resource<Blob>, Error>> {
        match self.blobs.fetch(&handle).await {
            Some(content) => Ok(Ok(self.table.push(Blob(content))?)),
            None => {
                let message = format!("this run has no blob {}", text::one_line(&handle, 64));
                Ok(Err(refusal(ErrorKind::NotFound, "sandbox.blob_unknown", message)))
            }
        }
    }
}

impl HostBlob for Guest {
    fn size(&mut self, this: Resource<Blob>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.0.len() as u64)
    }

    fn read(&mut self, this: Resource<Blob>, offset: u64, len: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let content = &self.table.get(&this)?.0;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let wanted = usize::try_from(len).unwrap_or(usize::MAX).min(BLOB_CHUNK);
        let end = start.saturating_add(wanted).min(content.len());
        Ok(Ok(content.get(start..end).unwrap_or_default().to_vec()))
    }

    fn drop(&mut self, this: Resource<Blob>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostBlobWriter for Guest {
    fn new(&mut self) -> wasmtime::Result<Resource<BlobWriter>> {
        let writer = BlobWriter(self.blobs.begin().map_err(Error::from));
        Ok(self.table.push(writer)?)
    }

    fn write(&mut self, this: Resource<BlobWriter>, data: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        if data.len() > BLOB_CHUNK {
            let message = format!("at most {BLOB_CHUNK} bytes can be written at a time, not {}", data.len());
            return Ok(Err(refusal(ErrorKind::Internal, "sandbox.blob_chunk", message)));
        }
        Ok(match &mut self.table.get_mut(&this)?.0 {
            Ok(growing) => growing.append(&data).map_err(Error::from),
            Err(refused) => Err(refused.clone()),
        })
    }

    async fn finish(&mut self, this: Resource<BlobWriter>) -> wasmtime::Result<Result<String, Error>> {
        let writer = self.table.get_mut(&this)?;
        match std::mem::replace(&mut writer.0, Err(finished())) {
            Ok(growing) => Ok(growing.finish().await.map_err(Error::from)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn drop(&mut self, this: Resource<BlobWriter>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
