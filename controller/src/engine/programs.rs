//! The programs in a project: compiled before it is deployed, never run.

use tokio::sync::Mutex;
use wherry_domain::project::{Project, check::Fault};

use super::Refusal;

/// One project at a time: reading a hostile program may take some memory, and nobody deploys often.
static TURN: Mutex<()> = Mutex::const_new(());

/// The project again, with every fault of its programs. It takes a while, so it happens apart from the engine.
pub(super) async fn check(project: Project) -> Result<(Project, Vec<Fault>), Refusal> {
    if project.operations.values().all(|operation| operation.programs().next().is_none()) {
        return Ok((project, Vec::new()));
    }
    let _turn = TURN.lock().await;
    let work = move || {
        let faults = wherry_expr::project::check(&project);
        (project, faults)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::stopping())
}
