//! The target `create`: one record after the other, none of them twice.

mod params;
mod patience;
mod record;
mod sender;

use wherry_sdk::info;
use wherry_sdk::prelude::*;

use crate::Cx;
pub(crate) use params::Create;
pub(crate) use record::NewRecord;
use sender::Created;

/// Instances that may share one input: records do not depend on each other, and no key is made from their numbers.
pub(crate) const PARALLEL: u32 = 16;

/// What became of the records.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Handled {
    records: u64,
    rejected: u64,
    /// Key or id of what was created last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Created>,
}

/// Creates what the records describe.
pub(crate) fn create(cx: &Cx<'_>, params: Create, input: &mut Reader<'_>) -> Result<Done> {
    params.check()?;
    let mut handled = Handled::default();
    let table = params.table;
    while let Some(batch) = input.batch()? {
        for record in batch.records() {
            cx.stop_if_asked()?;
            match sender::create(cx, &params, &record) {
                Ok(created) => handled.last = created.or(handled.last),
                Err(error) if error.is_about_one_record() => {
                    input.reject(record.row(), error)?;
                    handled.rejected += 1;
                }
                Err(error) => return Err(error),
            }
            handled.records += 1;
            // Jira does not recognise a repetition, so nothing that was done may be unknown.
            input.ack(record.row() + 1)?;
        }
    }
    info!(cx, "records created", table = table.name(), records = handled.records, rejected = handled.rejected);
    Ok(Done::with(handled))
}
