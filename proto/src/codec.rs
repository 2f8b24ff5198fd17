//! How messages of a stream are buffered.
//!
//! Most streams are sessions that say little: a heartbeat every ten seconds. tonic's own codec gives each of them
//! two buffers of 8 KiB; these begin smaller and grow with the frames.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// First size of a buffer, in bytes: most frames fit.
const BUFFER: usize = 512;
/// Frames that are ready are joined up to this many bytes before they are handed on.
const JOINED: usize = 32 << 10;

/// tonic's codec with buffers for quiet streams.
#[derive(Debug, Clone)]
pub struct QuietCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for QuietCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for QuietCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER, JOINED))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER, JOINED))
    }
}
