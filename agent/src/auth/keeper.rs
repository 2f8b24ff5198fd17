//! Keeps the token that a login gave: one login at a time, and none soon after a refusal.
//!
//! A wrong password sent with every request locks an account within seconds. So a refused login is not repeated for a
//! minute, whoever asks; and a token that was fetched because the one before it was refused is not thrown away in its
//! first minute, because then the 401 is about the request and not about the token.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use tokio::{
    runtime::Handle,
    sync::{Mutex as Turn, oneshot},
};
use wherry_daemon::{
    clock::Clock,
    tasks::{OnStop, Tasks},
};
use wherry_domain::time::Timestamp;

use super::{
    login::LOGIN_FAILED,
    token::{AuthFailure, Token, TokenSource},
};

/// No further login after one that was refused. Account policies count failures over several minutes.
pub(super) const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// No further login after one that the system answered with a failure of its own.
pub(super) const AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// No further login after one that nobody answered.
const UNANSWERED: Duration = Duration::from_secs(5);
/// Tokens of a shorter life than this exist nowhere.
const PROVEN: Duration = Duration::from_secs(60);

/// Trades credentials for a token.
pub(super) trait Login: Send + Sync + 'static {
    /// Makes the calls. Never more than one at a time.
    fn login(&self) -> impl Future<Output = Result<Grant, Refused>> + Send;

    /// Whether the system wants to be told when a token is used no more.
    fn ends_sessions(&self) -> bool {
        false
    }

    /// Tells it. What comes of that changes nothing: a token that is not given back ends by itself.
    fn logout(&self, _token: Token) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What a login gave.
pub(super) struct Grant {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    /// For how long it is good, if the system said so.
    pub(super) life: Option<Duration>,
}

/// Why a login gave nothing.
pub(super) struct Refused {
    pub(super) failure: AuthFailure,
    /// For how long nobody may try again.
    pub(super) wait: Duration,
}

/// A login that was not answered may have arrived and been refused all the same.
impl<E: Into<AuthFailure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { failure: error.into(), wait: UNANSWERED }
    }
}

/// The current token of one connection.
///
/// Whoever holds the last handle ends the session by dropping it: the connection changed, was forgotten, or the agent
/// stops.
pub(super) struct Keeper<L: Login> {
    desk: Arc<Desk<L>>,
    turn: Arc<Turn<()>>,
    tasks: Tasks,
}

/// What outlives the request that waits for a login.
struct Desk<L> {
    login: L,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    current: Option<Current>,
    /// Whether the next token replaces one that was refused.
    replacing: bool,
    /// Whether nobody holds the keeper any more.
    left: bool,
    refused: Option<(Timestamp, AuthFailure)>,
}

struct Current {
    token: Token,
    born: Timestamp,
    ends: Option<Timestamp>,
    replaces_refused: bool,
}

impl<L: Login> Keeper<L> {
    pub(super) fn shared(login: L, clock: Clock, tasks: Tasks) -> Arc<Self> {
        let desk = Arc::new(Desk { login, clock, state: Mutex::default() });
        Arc::new(Self { desk, turn: Arc::default(), tasks })
    }

    async fn get(&self) -> Result<Token, AuthFailure> {
        if let Some(known) = self.desk.known() {
            return known;
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(known) = self.desk.known() {
            return known;
        }
        // Whoever asked may go away; the login then still counts, and its refusal above all.
        let (desk, (tell, told)) = (Arc::clone(&self.desk), oneshot::channel());
        self.tasks.work("login of a connection", OnStop::Finish, async move {
            let answer = desk.log_in().await;
            desk.leave_if_left().await;
            drop(turn);
            // Nobody may be waiting any more.
            drop(tell.send(answer));
            Ok::<(), Infallible>(())
        });
        told.await.unwrap_or_else(|_| Err(AuthFailure::passing(LOGIN_FAILED, "the agent stopped during the login")))
    }
}

impl<L: Login> Desk<L> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer without a login, if there is one.
    fn known(&self) -> Option<Result<Token, AuthFailure>> {
        let now = self.clock.now();
        let state = self.state();
        if let Some(Current { token, .. }) = state.current.as_ref().filter(|it| it.ends.is_none_or(|ends| now < ends)) {
            return Some(Ok(token.clone()));
        }
        let (until, failure) = state.refused.as_ref()?;
        (now < *until).then(|| Err(failure.clone()))
    }

    async fn log_in(&self) -> Result<Token, AuthFailure> {
        let answer = self.login.login().await;
        let now = self.clock.now();
        let mut state = self.state();
        match answer {
            Ok(Grant { name, value, life }) => {
                state.generation += 1;
                let token = Token { name, value, generation: state.generation };
                // Renewed before it ends: a request whose body is too large to be repeated must not meet the end.
                let ends = life.map(|life| now.plus(life.mul_f64(0.9)));
                let replaces_refused = std::mem::take(&mut state.replacing);
                state.current = Some(Current { token: token.clone(), born: now, ends, replaces_refused });
                state.refused = None;
                Ok(token)
            }
            Err(Refused { failure, wait }) => {
                tracing::warn!(code = %failure.code, "a login gave no token");
                state.current = None;
                state.refused = Some((now.plus(wait), failure.clone()));
                Err(failure)
            }
        }
    }
}

impl<L: Login> Desk<L> {
    /// A login may come to its end after the keeper.
    async fn leave_if_left(&self) {
        let left = self.state().left;
        if left {
            self.leave().await;
        }
    }

    async fn leave(&self) {
        let token = self.state().current.take().map(|current| current.token);
        if let Some(token) = token.filter(|_| self.login.ends_sessions()) {
            self.login.logout(token).await;
        }
    }
}

impl<L: Login> Drop for Keeper<L> {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.left = true;
        let has_session = state.current.is_some() && self.desk.login.ends_sessions();
        drop(state);
        // At the very end of the process there is nowhere to make the call.
        if has_session && Handle::try_current().is_ok() {
            let desk = Arc::clone(&self.desk);
            self.tasks.work("logout of a connection", OnStop::Finish, async move {
                desk.leave().await;
                Ok::<(), Infallible>(())
            });
        }
    }
}

impl<L: Login> TokenSource for Keeper<L> {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthFailure>> {
        Box::pin(self.get())
    }

    fn rejected(&self, token: &Token) {
        let now = self.desk.clock.now();
        let mut state = self.desk.state();
        let proven = |it: &Current| !it.replaces_refused || now.since(it.born) >= PROVEN;
        if state.current.as_ref().is_some_and(|it| it.token.generation == token.generation && proven(it)) {
            state.current = None;
            state.replacing = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicU32, Ordering::SeqCst},
    };

    use tokio::sync::Notify;
    use wherry_daemon::{clock::Hand, shutdown::Shutdown};
    use wherry_domain::failure::Code;

    use super::*;

    const REFUSED: Code = Code::new("auth.login_refused");

    /// Gives what it is told to, after a while.
    #[derive(Default)]
    struct Script {
        ended: Mutex<Vec<u64>>,
        calls: AtomicU32,
        answers: Mutex<VecDeque<Result<Option<Duration>, Duration>>>,
    }

    impl Login for Arc<Script> {
        async fn login(&self) -> Result<Grant, Refused> {
            tokio::task::yield_now().await;
            let call = self.calls.fetch_add(1, SeqCst);
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(None));
            let name = HeaderName::from_static("authorization");
            let grant = |life| Grant { name, value: HeaderValue::from(call), life };
            answer.map(grant).map_err(|wait| Refused { failure: AuthFailure::permanent(REFUSED, "no"), wait })
        }

        fn ends_sessions(&self) -> bool {
            true
        }

        async fn logout(&self, token: Token) {
            self.ended.lock().unwrap().push(token.generation);
        }
    }

    fn keeper(
        answers: impl Into<VecDeque<Result<Option<Duration>, Duration>>>,
    ) -> (Arc<Keeper<Arc<Script>>>, Arc<Script>, Hand) {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        let script = Arc::new(Script { answers: Mutex::new(answers.into()), ..Script::default() });
        let tasks = Tasks::new(Shutdown::new(Duration::from_secs(1)));
        (Keeper::shared(Arc::clone(&script), clock, tasks), script, hand)
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_login() {
        let (keeper, script, _hand) = keeper([]);
        let tokens = futures::future::join_all((0..20).map(|_| keeper.token())).await;
        assert!(tokens.iter().all(|token| token.as_ref().unwrap().generation == 1));
        assert_eq!(script.calls.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_refused_login_is_not_repeated_for_a_minute_whoever_asks() {
        let (keeper, script, hand) = keeper([Err(AFTER_REFUSAL), Err(AFTER_REFUSAL)]);
        for _ in 0..100 {
            assert_eq!(keeper.token().await.map(drop).unwrap_err().code, REFUSED);
        }
        assert_eq!(script.calls.load(SeqCst), 1);
        hand.advance(Duration::from_millis(59_999));
        assert!(keeper.token().await.is_err());
        assert_eq!(script.calls.load(SeqCst), 1);
        hand.advance(Duration::from_millis(1));
        assert!(keeper.token().await.is_err());
        assert_eq!(script.calls.load(SeqCst), 2);
        hand.advance(AFTER_REFUSAL);
        assert!(keeper.token().await.is_ok());
    }

    /// Refuses once it is let go on.
    #[derive(Default)]
    struct Slow {
        calls: AtomicU32,
        asked: Notify,
        goes_on: Notify,
    }

    impl Login for Arc<Slow> {
        async fn login(&self) -> Result<Grant, Refused> {
            self.calls.fetch_add(1, SeqCst);
            self.asked.notify_one();
            self.goes_on.notified().await;
            Err(Refused { failure: AuthFailure::permanent(REFUSED, "no"), wait: AFTER_REFUSAL })
        }
    }

    #[tokio::test]
    async fn a_refusal_is_remembered_though_whoever_asked_is_gone() {
        let (clock, _hand) = Clock::manual(Timestamp::from_millis(0));
        let slow = Arc::new(Slow::default());
        let keeper = Keeper::shared(Arc::clone(&slow), clock, Tasks::new(Shutdown::new(Duration::from_secs(1))));
        let mut impatient = keeper.token();
        assert!(futures::poll!(&mut impatient).is_pending());
        tokio::time::timeout(Duration::from_secs(10), slow.asked.notified()).await.unwrap();
        drop(impatient);
        slow.goes_on.notify_one();
        let next = tokio::time::timeout(Duration::from_secs(10), keeper.token()).await.unwrap();
        assert_eq!(next.map(drop).unwrap_err().code, REFUSED);
        assert_eq!(slow.calls.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn the_session_ends_with_the_keeper_once_and_only_if_there_is_one() {
        let (unused, script, _hand) = keeper([]);
        drop(unused);
        tokio::task::yield_now().await;
        assert!(script.ended.lock().unwrap().is_empty());
        let (keeper, script, _hand) = keeper([]);
        let first = keeper.token().await.unwrap();
        keeper.rejected(&first);
        keeper.token().await.unwrap();
        let held = Arc::clone(&keeper);
        drop(keeper);
        tokio::task::yield_now().await;
        assert!(script.ended.lock().unwrap().is_empty(), "somebody still uses it");
        let tasks = held.tasks.clone();
        drop(held);
        while !tasks.running().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*script.ended.lock().unwrap(), [2], "the one that was refused is none any more");
    }

    #[test]
    fn a_keeper_that_outlives_the_runtime_ends_quietly() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (keeper, script) = runtime.block_on(async {
            let (keeper, script, _hand) = keeper([]);
            keeper.token().await.unwrap();
            (keeper, script)
        });
        drop(runtime);
        drop(keeper);
        assert!(script.ended.lock().unwrap().is_empty());
    }

    #[test]
    fn a_login_that_nobody_answered_is_not_repeated_at_once() {
        let refused = Refused::from(AuthFailure::passing(REFUSED, "silence"));
        assert_eq!(refused.wait, UNANSWERED);
    }

    #[tokio::test]
    async fn a_rejected_token_is_replaced_once_and_its_replacement_is_given_a_minute() {
        let (keeper, script, hand) = keeper([]);
        let first = keeper.token().await.unwrap();
        keeper.rejected(&first);
        let second = keeper.token().await.unwrap();
        assert_eq!((first.generation, second.generation), (1, 2));
        keeper.rejected(&first);
        for _ in 0..100 {
            keeper.rejected(&second);
            assert_eq!(keeper.token().await.unwrap().generation, 2);
        }
        assert_eq!(script.calls.load(SeqCst), 2);
        hand.advance(PROVEN);
        keeper.rejected(&second);
        assert_eq!(keeper.token().await.unwrap().generation, 3);
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_the_end_of_its_life() {
        let (keeper, script, hand) = keeper([Ok(Some(Duration::from_secs(100)))]);
        keeper.token().await.unwrap();
        hand.advance(Duration::from_secs(89));
        assert_eq!(keeper.token().await.unwrap().generation, 1);
        hand.advance(Duration::from_secs(1));
        assert_eq!(keeper.token().await.unwrap().generation, 2);
        assert_eq!(script.calls.load(SeqCst), 2);
    }
}
