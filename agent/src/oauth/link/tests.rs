//! The link between brokers, flows and a session.

use std::time::Duration;

use wherry_daemon::{exit::Exit, shutdown::Shutdown};
use wherry_domain::{id::FlowId, time::Timestamp};

use super::*;
use crate::oauth::flow::{Done, Started};

const FLOW: FlowId = FlowId::from_u128(4);

/// Answers at once, and keeps which tokens it was to open.
#[derive(Default)]
struct Answers(Arc<Mutex<Vec<(u64, Digest)>>>);

/// Takes a person's word, and says what became of it once it is told to.
struct Slow {
    heard: Arc<Semaphore>,
    told: Arc<Semaphore>,
}

impl Flows for Slow {
    fn start(&self, _start: Start) -> BoxFuture<'_, Result<Started, Failure>> {
        Box::pin(std::future::pending())
    }

    fn redeem(&self, _code: flow::Code) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(std::future::pending())
    }

    fn confirm(&self, _flow: FlowId, _accepted: bool) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            self.heard.add_permits(1);
            self.told.acquire().await.unwrap().forget();
            Ok(())
        })
    }

    fn redeem_sealed(&self, _flow: FlowId, _sealed: Vec<u8>) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(std::future::pending())
    }

    fn disconnect<'a>(
        &'a self,
        _connection: &'a ConnectionPath,
        _deployment: Option<Digest>,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(std::future::pending())
    }

    fn refresh_wanted(&self, _connection: &ConnectionPath, _generation: u64) -> bool {
        true
    }

    fn open_and_refresh<'a>(
        &'a self,
        _connection: &'a ConnectionPath,
        _generation: u64,
        _deployment: Digest,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::pending())
    }
}

impl Flows for Answers {
    fn start(&self, start: Start) -> BoxFuture<'_, Result<Started, Failure>> {
        Box::pin(async move {
            Ok(Started { url: format!("https://a.example/{}", start.redirect_uri), state_hash: [3; 32] })
        })
    }

    fn redeem(&self, code: flow::Code) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(async move {
            let label = code.iss.unwrap_or_default();
            Ok(Done { label, scope: "read".to_owned(), expires_in: Some(Duration::from_secs(60)) })
        })
    }

    fn confirm(&self, _flow: FlowId, accepted: bool) -> BoxFuture<'_, Result<(), Failure>> {
        let failure = Failure::permanent(Code::new("oauth.test"), "no");
        Box::pin(async move { if accepted { Ok(()) } else { Err(failure) } })
    }

    fn redeem_sealed(&self, _flow: FlowId, sealed: Vec<u8>) -> BoxFuture<'_, Result<Done, Failure>> {
        Box::pin(async move {
            Ok(Done { label: String::from_utf8(sealed).unwrap(), scope: String::new(), expires_in: None })
        })
    }

    fn disconnect<'a>(
        &'a self,
        _connection: &'a ConnectionPath,
        deployment: Option<Digest>,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move { Ok(deployment.is_some()) })
    }

    /// Nothing was used since the start.
    fn refresh_wanted(&self, _connection: &ConnectionPath, _generation: u64) -> bool {
        false
    }

    fn open_and_refresh<'a>(
        &'a self,
        _connection: &'a ConnectionPath,
        generation: u64,
        deployment: Digest,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.lock().unwrap().push((generation, deployment));
        Box::pin(std::future::ready(Ok(())))
    }
}

fn link() -> (Link, mpsc::Receiver<FromAgent>) {
    let (to_session, said) = mpsc::channel(16);
    let (clock, _hand) = Clock::manual(Timestamp::from_millis(5_000));
    (Link::new(clock, Tasks::new(Shutdown::new(Duration::from_secs(1))), to_session), said)
}

#[tokio::test]
async fn a_word_that_came_is_carried_out_although_the_process_is_asked_to_stop() {
    let (to_session, mut said) = mpsc::channel(16);
    let (clock, _hand) = Clock::manual(Timestamp::from_millis(5_000));
    let shutdown = Shutdown::new(Duration::from_secs(60));
    let link = Link::new(clock, Tasks::new(shutdown.clone()), to_session);
    let (heard, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    link.serve(Arc::new(Slow { heard: Arc::clone(&heard), told: Arc::clone(&told) }));
    link.connected(true);
    shutdown.stop("test", Exit::Success);
    link.heard(order(0, OAuthAsked::Confirm { flow: FLOW, accepted: true }));
    let heard = tokio::time::timeout(Duration::from_secs(10), heard.acquire()).await;
    heard.unwrap().unwrap().forget();
    told.add_permits(1);
    assert_eq!(report(&mut said).await.said, OAuthSaid::Kept { flow: FLOW, result: Ok(()) });
}

fn path() -> ConnectionPath {
    "prod/desk/jira".parse().unwrap()
}

async fn report(said: &mut mpsc::Receiver<FromAgent>) -> OAuthReport {
    let frame = tokio::time::timeout(Duration::from_secs(10), said.recv()).await.unwrap();
    let Some(FromAgent::OAuth(report)) = frame else { panic!("{frame:?}") };
    report
}

fn order(request: u64, asked: OAuthAsked) -> OAuthOrder {
    OAuthOrder { connection: path(), request, asked }
}

fn ownership() -> OAuthAsked {
    OAuthAsked::Ownership(TokenOwnership {
        owner: true,
        fence: OwnerFence::from_bits(9),
        good_for: Duration::from_secs(60),
        generation: 2,
        newest: None,
        in_doubt: false,
        holder: "pier-1".to_owned(),
    })
}

#[tokio::test]
async fn without_a_session_nothing_is_asked_and_with_one_the_answer_finds_its_question() {
    let (link, mut said) = link();
    assert_eq!(link.claim(&path(), 0, Intent::Look).await, Err(CopiesError::Offline));
    link.connected(true);
    let path = path();
    let (owned, ()) = tokio::join!(link.claim(&path, 2, Intent::Refresh), async {
        let OAuthReport { request, said, .. } = report(&mut said).await;
        assert_eq!(said, OAuthSaid::Claim { have: 2, intent: Intent::Refresh });
        link.heard(order(request + 1, ownership()));
        link.heard(order(request, ownership()));
    });
    let owned = owned.unwrap();
    assert_eq!((owned.owner, owned.until), (true, Timestamp::from_millis(65_000)), "counted from the question");
}

#[tokio::test]
async fn a_session_that_ends_leaves_nobody_waiting() {
    let (link, mut said) = link();
    link.connected(true);
    let path = path();
    let (answer, ()) = tokio::join!(link.wanted(&path, 1), async {
        report(&mut said).await;
        link.connected(false);
    });
    assert_eq!(answer, Err(CopiesError::Offline));
}

#[tokio::test]
async fn tokens_that_others_overtook_come_back_with_the_newer_ones_and_too_large_ones_do_not_leave() {
    let (link, mut said) = link();
    link.connected(true);
    let (path, fence) = (path(), OwnerFence::from_bits(1));
    let newest = Some(TokenCopy { generation: 7, sealed: Wrapped(vec![1]) });
    let (answer, ()) = tokio::join!(link.publish(&path, fence, 3, vec![2]), async {
        let request = report(&mut said).await.request;
        link.heard(order(request, OAuthAsked::Published { accepted: false, generation: 7, newest }));
    });
    let copy = Copy { generation: 7, sealed: vec![1] };
    assert_eq!(answer, Err(PublishError::Conflict { newest: Some(copy), generation: 7 }));
    let refused = link.publish(&path, fence, 3, vec![0; MAX_COPY + 1]).await;
    assert!(matches!(refused, Err(PublishError::Copies(CopiesError::Refused(failure))) if failure.code == TOO_LARGE));
}

#[tokio::test]
async fn each_part_of_a_flow_is_done_and_told() {
    let (link, mut said) = link();
    link.connected(true);
    let digest = Digest::from_bytes([1; 32]);
    let start = || OAuthAsked::Start { flow: FLOW, deployment: digest, redirect_uri: "back".to_owned() };
    link.heard(order(0, start()));
    let refused = report(&mut said).await.said;
    assert!(matches!(refused, OAuthSaid::Started { result: Err(failure), .. } if failure.code == UNABLE));
    let answers = Answers::default();
    let opened = Arc::clone(&answers.0);
    link.serve(Arc::new(answers));
    link.heard(order(0, start()));
    let address = ConsentAddress {
        url: "https://a.example/back".to_owned(),
        state_hash: Digest::from_bytes([3; 32]),
        opens_sealed: true,
    };
    assert_eq!(report(&mut said).await.said, OAuthSaid::Started { flow: FLOW, result: Ok(address) });
    let unshown = || Unshown("x".to_owned());
    link.heard(order(0, OAuthAsked::Code { flow: FLOW, code: unshown(), state: unshown(), iss: Some("i".to_owned()) }));
    let OAuthSaid::Redeemed { result: Ok(account), .. } = report(&mut said).await.said else { panic!("not redeemed") };
    assert_eq!(account.label, "i");
    link.heard(order(0, OAuthAsked::Confirm { flow: FLOW, accepted: true }));
    assert_eq!(report(&mut said).await.said, OAuthSaid::Kept { flow: FLOW, result: Ok(()) });
    link.heard(order(0, OAuthAsked::SealedCode { flow: FLOW, sealed: Wrapped(b"sealed".to_vec()) }));
    let OAuthSaid::Redeemed { result: Ok(account), .. } = report(&mut said).await.said else { panic!("not redeemed") };
    assert_eq!(account.label, "sealed");
    // Neither is answered; what comes next is the answer to the question after them.
    link.heard(order(0, OAuthAsked::RefreshWanted { generation: 4, deployment: None }));
    link.heard(order(0, OAuthAsked::RefreshWanted { generation: 5, deployment: Some(digest) }));
    link.heard(order(5, OAuthAsked::Disconnect { deployment: Some(digest) }));
    let gone = report(&mut said).await;
    assert_eq!((gone.request, gone.said), (5, OAuthSaid::Disconnected(Ok(true))));
    assert_eq!(*opened.lock().unwrap(), [(5, digest)], "what cannot be opened is let be, the rest is opened");
}
