//! `wherry:connector/state`: the connection's small durable memory.

use super::{Guest, refusal};
use crate::bindings::state::Host;
use crate::bindings::types::{Error, ErrorKind};
use crate::settings::contract::STATE_BYTES;

impl Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.state.get(&key).map(<[u8]>::to_vec)))
    }

    fn put(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.state.put(key, value).map_err(|_| {
            let message = format!("the state of one connection has at most {STATE_BYTES} bytes; keep less in it");
            refusal(ErrorKind::Internal, "sandbox.state_full", message)
        }))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.state.delete(&key);
        Ok(Ok(()))
    }

    fn keys(&mut self, prefix: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        Ok(Ok(self.state.keys(&prefix)))
    }
}
