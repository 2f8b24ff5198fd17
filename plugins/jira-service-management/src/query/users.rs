//! People. Cloud cuts a page first and leaves out afterwards whom the words do not fit, so a short page is not the last
//! one, and the next one begins behind what was asked for, not behind what came.

use serde_json::value::RawValue;
use wherry_sdk::paging::PageWatch;
use wherry_sdk::prelude::*;

use super::list::List;
use crate::Cx;

/// People asked for at once: as many as Cloud looks at for a search at all.
const PAGE: u64 = 1_000;

/// Where a retry goes on.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    start: u64,
}

/// Reads people until there are none.
pub(super) fn read(cx: &Cx<'_>, list: &List, out: &mut Writer<'_>) -> Result<()> {
    let Place { mut start } = cx.cursor()?.unwrap_or_default();
    let mut watch = PageWatch::default();
    loop {
        cx.stop_if_asked()?;
        let request = list.request(cx).query("startAt", start).query("maxResults", PAGE);
        let people: Vec<Box<RawValue>> = request.send()?.json()?;
        if people.is_empty() {
            return Ok(());
        }
        watch.note(people.iter().map(|person| person.get()))?;
        people.iter().try_for_each(|person| out.push_raw(person))?;
        start += PAGE;
        out.mark(&Place { start })?;
    }
}
