//! Clients that take their time, over a real connection.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use wherry_controller::{
    config,
    web::{Patience, WebPort, serve},
};
use wherry_daemon::{shutdown::Shutdown, tasks::Tasks};

use crate::support::{Api, Bench, Disk, soon};

/// Long enough for a busy machine to answer in, short enough for a test.
const SHORT: Duration = Duration::from_millis(300);
/// Far beyond any test.
const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn whoever_says_nothing_or_never_ends_its_headers_is_cut_off() {
    let port = Port::open(Patience { headers: SHORT, body_pause: LONG, body: LONG }).await;
    for said in ["", "P", "PRI * HTTP/2.0", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut client = port.client().await;
        client.write_all(said.as_bytes()).await.unwrap();
        let heard = rest(&mut client).await;
        assert!(!heard.contains("200"), "{said:?} was answered {heard:?}");
    }
    let mut client = port.client().await;
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_and_not_waited_for() {
    let port = Port::open(Patience { headers: LONG, body_pause: SHORT, body: LONG }).await;
    let mut client = port.client().await;
    client.write_all(port.request(1_000).as_bytes()).await.unwrap();
    client.write_all(b"{\"name\":").await.unwrap();
    let heard = rest(&mut client).await;
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("request.too_slow"), "{heard}");
}

#[tokio::test]
async fn a_body_that_drips_for_ever_is_answered_when_its_time_is_over() {
    let port = Port::open(Patience { headers: LONG, body_pause: LONG, body: SHORT }).await;
    let mut client = port.client().await;
    client.write_all(port.request(1_000_000).as_bytes()).await.unwrap();
    let (mut reading, mut writing) = client.split();
    let drip = async {
        // Each byte finds the one before it read, so that it is a piece of its own.
        while writing.write_all(b" ").await.is_ok() {
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = vec![0; 10_000];
    let read = tokio::select! {
        () = drip => 0,
        read = soon(reading.read(&mut heard)) => read.unwrap(),
    };
    let heard = String::from_utf8_lossy(&heard[..read]);
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("request.too_slow"), "{heard}");
}

#[tokio::test]
async fn a_whole_body_is_taken_however_little_patience_there_is_for_the_next() {
    let port = Port::open(Patience { headers: LONG, body_pause: SHORT, body: SHORT }).await;
    let body = r#"{"name":"prod","group":"berlin"}"#;
    let mut client = port.client().await;
    client.write_all(port.request(body.len()).as_bytes()).await.unwrap();
    client.write_all(body.as_bytes()).await.unwrap();
    let mut heard = vec![0; 1_000];
    let read = soon(client.read(&mut heard)).await.unwrap();
    assert!(heard[..read].starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&heard[..read]));
}

/// A port on loopback.
struct Port {
    api: Api,
    address: SocketAddr,
    _server: JoinSet<anyhow::Result<()>>,
}

impl Port {
    async fn open(patience: Patience) -> Self {
        let api = Api::of(Bench::open(Disk::memory())).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        let (router, tasks) = (api.router.clone(), Tasks::new(shutdown.clone()));
        let mut server = JoinSet::new();
        let port = WebPort { listener, router, tasks, shutdown, patience };
        server.spawn(async move { serve(port, &config::Web::default()).await });
        Self { api, address, _server: server }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The head of a request whose body has so many bytes.
    fn request(&self, length: usize) -> String {
        format!(
            "POST /v1/environments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n",
            self.api.token
        )
    }
}

/// Everything until the other side is done.
async fn rest(client: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // Being cut off may look like an error.
    drop(soon(client.read_to_end(&mut heard)).await);
    String::from_utf8_lossy(&heard).into_owned()
}
