//! A TCP proxy whose network breaks on request: cut, half-open, slow, or broken off after so many bytes.
//!
//! Every fault applies to living connections at once and to new ones until [`FaultProxy::heal`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Which way bytes flow through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected.
    Requests,
    /// To whoever connected.
    Replies,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Pass,
    /// They are kept; the connection stays open.
    Hold,
    /// They arrive later.
    Delay(Duration),
}

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weather {
    requests: Flow,
    replies: Flow,
    /// New connections are closed at once.
    refuses: bool,
    /// Connections made under an older number are closed.
    era: u64,
}

const FAIR: Weather = Weather { requests: Flow::Pass, replies: Flow::Pass, refuses: false, era: 0 };
/// No budget: bytes are only counted.
const UNLIMITED: u64 = u64::MAX;

/// The proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    weather: watch::Sender<Weather>,
    /// How many bytes of replies may still pass before everything is cut.
    budget: AtomicU64,
    replied: AtomicU64,
    connections: AtomicU64,
}

impl FaultProxy {
    /// A proxy in front of `target`, in fair weather.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn before(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            weather: watch::Sender::new(FAIR),
            budget: AtomicU64::new(UNLIMITED),
            replied: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _accepting: accepting })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything passes again. What was held is delivered.
    pub fn heal(&self) {
        self.shared.budget.store(UNLIMITED, SeqCst);
        self.change(|weather| *weather = Weather { era: weather.era, ..FAIR });
    }

    /// Closes every connection; new ones pass.
    pub fn cut(&self) {
        self.change(|weather| weather.era += 1);
    }

    /// Closes every connection and refuses new ones.
    pub fn part(&self) {
        self.change(|weather| {
            weather.era += 1;
            weather.refuses = true;
        });
    }

    /// Delivers nothing any more, and closes nothing: half-open both ways.
    pub fn hold(&self) {
        self.change(|weather| (weather.requests, weather.replies) = (Flow::Hold, Flow::Hold));
    }

    /// Delivers nothing of one direction.
    pub fn hold_only(&self, direction: Direction) {
        self.change(|weather| match direction {
            Direction::Requests => weather.requests = Flow::Hold,
            Direction::Replies => weather.replies = Flow::Hold,
        });
    }

    /// Delivers everything later.
    pub fn delay(&self, by: Duration) {
        self.change(|weather| (weather.requests, weather.replies) = (Flow::Delay(by), Flow::Delay(by)));
    }

    /// Closes every connection once `bytes` more of replies have passed.
    pub fn cut_after_replies_of(&self, bytes: u64) {
        self.shared.budget.store(bytes, SeqCst);
    }

    /// Bytes of replies that passed so far.
    pub fn replied(&self) -> u64 {
        self.shared.replied.load(SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.shared.weather.send_modify(change);
    }
}

impl Weather {
    const fn flow(self, direction: Direction) -> Flow {
        match direction {
            Direction::Requests => self.requests,
            Direction::Replies => self.replies,
        }
    }
}

impl Shared {
    /// Takes bytes out of the budget; how many of them may pass, and whether that was the last of it.
    fn spend(&self, bytes: usize) -> (usize, bool) {
        self.replied.fetch_add(bytes as u64, SeqCst);
        let spent = self
            .budget
            .fetch_update(SeqCst, SeqCst, |left| (left != UNLIMITED).then(|| left.saturating_sub(bytes as u64)));
        match spent {
            Err(_) => (bytes, false),
            Ok(left) => (bytes.min(usize::try_from(left).unwrap_or(usize::MAX)), left <= bytes as u64),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        shared.connections.fetch_add(1, SeqCst);
        let weather = shared.weather.subscribe();
        if !weather.borrow().refuses {
            connections.spawn(connection(stream, Arc::clone(&shared), weather));
        }
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>, mut weather: watch::Receiver<Weather>) {
    let era = weather.borrow().era;
    let Ok(server) = TcpStream::connect(shared.target).await else { return };
    // Small frames should not wait for each other because of us.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let requests = pump(from_client, to_server, Direction::Requests, &shared);
    let replies = pump(from_server, to_client, Direction::Replies, &shared);
    tokio::select! {
        _ = weather.wait_for(|now| now.era != era) => {}
        ((), ()) = async { tokio::join!(requests, replies) } => {}
    }
}

/// Carries bytes until either end is closed. What was read is delivered only when the weather allows it.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction, shared: &Shared) {
    let mut weather = shared.weather.subscribe();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let allowed = weather.wait_for(|now| now.flow(direction) != Flow::Hold).await.map(|now| now.flow(direction));
        match allowed {
            Ok(Flow::Delay(by)) => tokio::time::sleep(by).await,
            Ok(Flow::Pass | Flow::Hold) => {}
            Err(_) => break,
        }
        let (passing, last) = if direction == Direction::Replies { shared.spend(count) } else { (count, false) };
        let piece = buffer.get(..passing).unwrap_or_default();
        if to.write_all(piece).await.is_err() {
            break;
        }
        if last {
            shared.budget.store(UNLIMITED, SeqCst);
            shared.weather.send_modify(|weather| weather.era += 1);
            break;
        }
    }
    // The other end is gone or will be told so.
    drop(to.shutdown().await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_arrives_once_the_link_is_healed() {
        let (proxy, mut client, _echo) = proxied().await;
        assert_eq!(said_back(&mut client, b"one").await.unwrap(), b"one");
        proxy.hold_only(Direction::Replies);
        client.write_all(b"two").await.unwrap();
        let mut byte = [0];
        let silence = tokio::time::timeout(Duration::from_millis(100), client.read(&mut byte)).await;
        assert!(silence.is_err(), "a reply passed");
        proxy.heal();
        let mut two = [0; 3];
        client.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"two");
    }

    #[tokio::test]
    async fn a_cut_ends_what_lives_and_a_parted_link_lets_nobody_in() {
        let (proxy, mut client, _echo) = proxied().await;
        assert!(said_back(&mut client, b"one").await.is_some());
        proxy.cut();
        assert!(said_back(&mut client, b"one").await.is_none());
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(said_back(&mut next, b"one").await.is_some());
        proxy.part();
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(said_back(&mut next, b"one").await.is_none() && said_back(&mut refused, b"one").await.is_none());
        proxy.heal();
        let mut healed = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(said_back(&mut healed, b"one").await.is_some());
        assert_eq!(proxy.connections(), 4);
    }

    #[tokio::test]
    async fn a_link_breaks_after_exactly_the_bytes_it_may_carry_and_then_works_again() {
        let (proxy, mut client, _echo) = proxied().await;
        proxy.cut_after_replies_of(5);
        client.write_all(b"0123456789").await.unwrap();
        let mut carried = Vec::new();
        // It may end in order or with a reset.
        drop(client.read_to_end(&mut carried).await);
        assert_eq!(carried, b"01234");
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said_back(&mut next, b"0123456789").await.unwrap(), b"0123456789");
    }

    /// A proxy before a server that repeats what it hears, and a connection through it.
    async fn proxied() -> (FaultProxy, TcpStream, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultProxy::before(listener.local_addr().unwrap()).await.unwrap();
        let mut echo = JoinSet::new();
        echo.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                all.spawn(async move { drop(tokio::io::copy(&mut from, &mut to).await) });
            }
        });
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client, echo)
    }

    /// What comes back; nothing, if the connection is gone.
    async fn said_back(stream: &mut TcpStream, text: &[u8]) -> Option<Vec<u8>> {
        stream.write_all(text).await.ok()?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.ok()?;
        Some(back)
    }
}
