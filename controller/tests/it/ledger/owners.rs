//! Which agent refreshes the tokens of a connection.

use std::time::Duration;

use serde_json::json;
use wherry_controller::engine::Submission;
use wherry_domain::{
    connection::ConnectionPath,
    id::ConnectionId,
    name::Name,
    owner::{Intent, OwnerFence},
};
use wherry_proto::frame::{
    FromAgent, FromController, KeyringState, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid, TokenCopy, TokenOwnership,
    Wrapped,
};
use wherry_trust::{
    keys::SigningKey,
    sealing::secret::{Place, SealedSecret},
    token::{EnrolmentToken, SpkiPin},
};

use crate::support::{Agent, Bench, Crew, Disk, name, on_each_store, submission};

/// Term and grace of the ordinary lease.
const LOST: Duration = Duration::from_secs(75);

on_each_store!(
    one_agent_owns_a_connection_and_the_others_get_its_copies,
    whoever_wants_newer_tokens_gets_them_as_soon_as_the_owner_has_some,
    a_lost_owner_is_followed_after_its_lease_by_one_who_knows_of_its_last_refresh,
    tokens_under_an_old_fence_change_nothing,
    what_is_known_of_tokens_survives_a_restart,
    runs_of_tokens_that_one_agent_has_go_to_that_agent,
    agents_of_other_groups_and_connections_without_oauth_are_refused,
    only_the_agent_that_was_asked_says_that_tokens_were_given_back,
    tokens_are_given_back_also_if_whoever_asked_has_gone,
    tokens_go_with_their_connection,
    whoever_gives_tokens_of_a_connection_that_is_gone_back_still_gets_its_document_for_a_while,
    an_epoch_that_only_a_copy_needs_is_named_to_whoever_tends_until_the_copy_is_sealed_anew,
);

async fn one_agent_owns_a_connection_and_the_others_get_its_copies(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(owned.owner && owned.generation == 0 && owned.newest.is_none());
    assert_eq!((owned.good_for, owned.holder.as_str()), (Duration::from_secs(60), "pier-1"));
    let refused = claim(&bench, &mut other, 0, Intent::Refresh).await;
    assert!(!refused.owner && refused.holder == "pier-1");
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    let shared = claim(&bench, &mut other, 0, Intent::Look).await;
    assert_eq!((shared.owner, shared.newest), (false, Some(copy(1, b"first"))));
    let known = claim(&bench, &mut other, 1, Intent::Look).await;
    assert_eq!(known.newest, None, "it has these");
}

async fn whoever_wants_newer_tokens_gets_them_as_soon_as_the_owner_has_some(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    let OAuthAsked::Refused(failure) = ask(&bench, &mut other, OAuthSaid::Wanted { generation: 0 }).await else {
        panic!("nobody could refresh");
    };
    assert_eq!(failure.code.as_str(), "oauth.owner_away");
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    say(&bench, &other, 9, OAuthSaid::Wanted { generation: 0 }).await;
    let OAuthAsked::RefreshWanted { generation: 0, deployment: Some(_) } = order(&mut one).await.asked else {
        panic!("the owner is told with which deployment it opens the tokens");
    };
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    let newer = order(&mut other).await;
    assert_eq!((newer.request, newer.asked), (9, OAuthAsked::Newer(copy(1, b"first"))));
    let at_once = ask(&bench, &mut other, OAuthSaid::Wanted { generation: 0 }).await;
    assert_eq!(at_once, OAuthAsked::Newer(copy(1, b"first")));
}

async fn a_lost_owner_is_followed_after_its_lease_by_one_who_knows_of_its_last_refresh(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    claim(&bench, &mut one, 1, Intent::Refresh).await;
    bench.ledger.close_session(one.id, one.epoch).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    bench.pass(LOST - Duration::from_millis(1)).await;
    other.connect(&bench, &[]).await;
    assert!(!claim(&bench, &mut other, 0, Intent::Refresh).await.owner, "the lost one may be refreshing");
    bench.pass(Duration::from_millis(1)).await;
    let taken = claim(&bench, &mut other, 0, Intent::Refresh).await;
    assert!(taken.owner && taken.in_doubt && taken.fence > owned.fence);
    assert_eq!(taken.newest, Some(copy(1, b"first")));
    // What came of the announced refresh is taken, and the new owner reads it.
    one.connect(&bench, &[]).await;
    assert!(publish(&bench, &mut one, owned.fence, 2, b"second").await);
    let OAuthAsked::Published { accepted, newest, .. } =
        ask(&bench, &mut other, published(taken.fence, 2, b"other")).await
    else {
        panic!("no answer to a publication");
    };
    assert_eq!((accepted, newest), (false, Some(copy(2, b"second"))));
}

async fn tokens_under_an_old_fence_change_nothing(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 3, b"third").await);
    for (fence, generation) in
        [(owned.fence, 3), (owned.fence, 2), (OwnerFence::from_bits(99), 4), (OwnerFence::NONE, 4)]
    {
        assert!(!publish(&bench, &mut one, fence, generation, b"old").await, "{fence} {generation}");
    }
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    assert!(!publish(&bench, &mut other, owned.fence, 4, b"foreign").await);
}

async fn what_is_known_of_tokens_survives_a_restart(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, &[7; 40 << 10]).await);
    let bench = bench.restart().await;
    let mut other = Agent::enrol(&bench, "pier-2", 1).await;
    other.connect(&bench, &[]).await;
    let seen = claim(&bench, &mut other, 0, Intent::Refresh).await;
    assert!(!seen.owner, "the owner may be at work since before the restart");
    assert_eq!((seen.fence, seen.newest), (owned.fence, Some(copy(1, &[7; 40 << 10]))));
}

async fn runs_of_tokens_that_one_agent_has_go_to_that_agent(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"").await);
    let mut other = Agent::online(&bench, "pier-2", 3).await;
    for _ in 0..2 {
        bench.try_submit(issues()).await.unwrap();
    }
    assert_eq!(other.offers(&bench).await, []);
    let attempt = one.offer().await.attempt;
    one.succeed(&bench, attempt).await;
    one.offer().await;
    assert!(publish(&bench, &mut one, owned.fence, 2, b"copied").await);
    bench.try_submit(issues()).await.unwrap();
    assert_eq!(other.offers(&bench).await.len(), 1, "everybody can use them now");
}

async fn agents_of_other_groups_and_connections_without_oauth_are_refused(disk: Disk) {
    let bench = ready(disk).await;
    bench.ledger.create_environment("test".to_owned(), name("lab"), name("tokyo")).await.unwrap();
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    for path in ["prod/accounts/nothing", "prod/desk/tracker", "lab/accounts/jira", "dev/accounts/jira"] {
        let said = OAuthSaid::Claim { have: 0, intent: Intent::Refresh };
        let report = OAuthReport { connection: path.parse().unwrap(), request: 5, said };
        one.say(&bench, FromAgent::OAuth(report)).await;
        let OAuthAsked::Refused(failure) = order(&mut one).await.asked else { panic!("{path} was not refused") };
        assert_eq!(failure.code.as_str(), "oauth.connection_unknown", "{path}");
    }
}

async fn only_the_agent_that_was_asked_says_that_tokens_were_given_back(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let other = Agent::online(&bench, "pier-2", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    let asked = async {
        let asked = order(&mut one).await;
        assert!(matches!(asked.asked, OAuthAsked::Disconnect { deployment: Some(_) }));
        say(&bench, &other, asked.request, OAuthSaid::Disconnected(Ok(false))).await;
        say(&bench, &one, asked.request, OAuthSaid::Disconnected(Ok(true))).await;
    };
    let (revoked, ()) = tokio::join!(bench.ledger.disconnect("ada".to_owned(), place(), false), asked);
    assert!(revoked.unwrap());
}

async fn tokens_are_given_back_also_if_whoever_asked_has_gone(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    let asked = tokio::select! {
        answer = bench.ledger.disconnect("ada".to_owned(), place(), false) => panic!("{answer:?} came from nobody"),
        asked = order(&mut one) => asked,
    };
    bench.settle().await;
    say(&bench, &one, asked.request, OAuthSaid::Disconnected(Ok(true))).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    let known = claim(&bench, &mut other, 0, Intent::Look).await;
    assert!(known.owner && known.newest.is_none(), "nobody owns it, so whoever asks does");
}

async fn tokens_go_with_their_connection(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    bench.ledger.undeploy("test".to_owned(), name("prod"), name("accounts")).await.unwrap();
    assert!(matches!(order(&mut one).await.asked, OAuthAsked::Disconnect { deployment: Some(_) }));
    deploy(&bench, "jira").await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    let known = claim(&bench, &mut other, 0, Intent::Look).await;
    assert!(known.owner && known.newest.is_none() && known.generation == 0, "nobody owns it, so whoever asks does");
    let owned = claim(&bench, &mut other, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut other, owned.fence, 1, b"second").await);
    // A deployment that keeps it keeps its tokens, and one without it does not.
    deploy(&bench, "jira").await;
    assert_eq!(claim(&bench, &mut one, 0, Intent::Look).await.newest, Some(copy(1, b"second")));
    deploy(&bench, "other").await;
    deploy(&bench, "jira").await;
    let bench = bench.restart().await;
    one.connect(&bench, &[]).await;
    let known = claim(&bench, &mut one, 0, Intent::Look).await;
    assert!(known.owner && known.newest.is_none() && known.generation == 0);
}

async fn whoever_gives_tokens_of_a_connection_that_is_gone_back_still_gets_its_document_for_a_while(disk: Disk) {
    let bench = ready(disk).await;
    bench.ledger.create_environment("test".to_owned(), name("lab"), name("tokyo")).await.unwrap();
    let token = EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap();
    let (who, id) = ("test".to_owned(), token.id().to_string());
    bench.ledger.create_enrolment_token(who, name("tokyo"), id, token.auth_hash(), 600, None).await.unwrap();
    let stranger = Agent::enrol_with(&bench, "pier-9", 1, &token).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"first").await);
    let asked_by = async |one: &mut Agent| {
        let OAuthAsked::Disconnect { deployment: Some(digest) } = order(one).await.asked else { panic!("not asked") };
        digest
    };
    // A deployment without the connection.
    deploy(&bench, "other").await;
    let digest = asked_by(&mut one).await;
    bench.ledger.document_for(one.identity.clone(), digest).await.unwrap();

    deploy(&bench, "jira").await;
    let owned = claim(&bench, &mut one, 0, Intent::Refresh).await;
    assert!(publish(&bench, &mut one, owned.fence, 1, b"second").await);
    bench.ledger.undeploy("test".to_owned(), name("prod"), name("accounts")).await.unwrap();
    let digest = asked_by(&mut one).await;
    bench.ledger.document_for(one.identity.clone(), digest).await.unwrap();
    bench.ledger.document_for(stranger.identity.clone(), digest).await.unwrap_err();
    bench.pass(Duration::from_secs(600)).await;
    bench.ledger.document_for(one.identity.clone(), digest).await.unwrap_err();
}

async fn an_epoch_that_only_a_copy_needs_is_named_to_whoever_tends_until_the_copy_is_sealed_anew(disk: Disk) {
    let bench = ready(disk).await;
    let mut crew = Crew::of(&bench).await;
    let (mut first, second) = crew.two(&bench).await;
    let owned = claim(&bench, &mut first.agent, 0, Intent::Look).await;
    let sealed = |crew: &Crew, generation, by: &SigningKey| {
        let place = Place::oauth(crew.organisation, crew.group, &name("prod"), ConnectionId::from_u128(7));
        let (epoch, key) = crew.roster.epoch();
        SealedSecret::seal(&place, generation, epoch, &key, b"tokens", by).unwrap().to_json()
    };
    let old = sealed(&crew, 1, &first.identity);
    assert!(publish(&bench, &mut first.agent, owned.fence, 1, &old).await);
    let rotated = crew.rotate(&bench, &mut first, &second).await;
    assert!(rotated.tends, "{rotated:?}");
    assert_eq!(rotated.epochs_in_use, [1]);
    // Also after the controller has begun anew.
    let bench = bench.restart().await;
    first.agent.connect(&bench, &[]).await;
    let again = first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    assert!(again.tends, "{again:?}");
    assert_eq!(again.epochs_in_use, [1]);
    let new = sealed(&crew, 2, &first.identity);
    let owned = claim(&bench, &mut first.agent, 1, Intent::Look).await;
    assert!(publish(&bench, &mut first.agent, owned.fence, 2, &new).await);
    first.agent.connect(&bench, &[]).await;
    let after = first.report(&bench, KeyringState::Member, |report| crew.known(report)).await;
    assert!(after.tends, "{after:?}");
    assert_eq!(after.epochs_in_use, [0; 0]);
}

fn place() -> (Name, Option<Name>, Name) {
    (name("prod"), Some(name("accounts")), name("jira"))
}

async fn ready(disk: Disk) -> Bench {
    let bench = Bench::ready(disk).await;
    deploy(&bench, "jira").await;
    bench
}

async fn deploy(bench: &Bench, connection: &str) {
    let auth = json!({
        "type": "oauth2", "grant": "authorization_code", "client_id": "ours",
        "authorization_url": "https://auth.example/authorize", "token_url": "https://auth.example/token",
    });
    let document = json!({
        "name": "accounts",
        "connections": { connection: { "connector": "http", "url": "https://jira.example", "auth": auth } },
        "operations": { "issues": { "source": { "connection": connection, "activity": "list" } } },
    });
    let project = serde_json::from_value(document).unwrap();
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
}

fn issues() -> Submission {
    Submission { project: Some(name("accounts")), ..submission("issues") }
}

fn path() -> ConnectionPath {
    "prod/accounts/jira".parse().unwrap()
}

fn copy(generation: u64, sealed: &[u8]) -> TokenCopy {
    TokenCopy { generation, sealed: Wrapped(sealed.to_vec()) }
}

fn published(fence: OwnerFence, generation: u64, sealed: &[u8]) -> OAuthSaid {
    OAuthSaid::Publish { fence, generation, sealed: Wrapped(sealed.to_vec()) }
}

async fn say(bench: &Bench, agent: &Agent, request: u64, said: OAuthSaid) {
    agent.say(bench, FromAgent::OAuth(OAuthReport { connection: path(), request, said })).await;
}

async fn order(agent: &mut Agent) -> OAuthOrder {
    loop {
        if let FromController::OAuth(order) = agent.frame().await {
            return order;
        }
    }
}

async fn ask(bench: &Bench, agent: &mut Agent, said: OAuthSaid) -> OAuthAsked {
    say(bench, agent, 77, said).await;
    let answer = order(agent).await;
    assert_eq!((answer.request, answer.connection), (77, path()));
    answer.asked
}

async fn claim(bench: &Bench, agent: &mut Agent, have: u64, intent: Intent) -> TokenOwnership {
    let answer = ask(bench, agent, OAuthSaid::Claim { have, intent }).await;
    let OAuthAsked::Ownership(ownership) = answer else { panic!("{answer:?} came in answer to a claim") };
    ownership
}

async fn publish(bench: &Bench, agent: &mut Agent, fence: OwnerFence, generation: u64, sealed: &[u8]) -> bool {
    let answer = ask(bench, agent, published(fence, generation, sealed)).await;
    let OAuthAsked::Published { accepted, .. } = answer else { panic!("{answer:?} came in answer to a publication") };
    accepted
}
