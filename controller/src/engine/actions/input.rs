//! What a caller hands over, held against the connector's schemas before anything happens.

use serde_json::Value;
use wherry_domain::{
    effects::SideEffects,
    project::check::{ActivityKind, Fault},
};
use wherry_proto::{MAX_ACTION, MAX_ACTIVITY};

use super::{Call, activity};
use crate::engine::{
    Ledger, Refusal,
    descriptors::InputSchemas,
    schemas::{Schema, Texts},
};

/// Most records in one call.
const MAX_RECORDS: usize = 1_000;
/// Bytes of input that are looked through at once; more of them would hold up other callers.
const SMALL: usize = 16 << 10;
/// Faults told of one call.
const MAX_FAULTS: usize = 50;

impl Ledger {
    /// The call, with its input as it travels and the class of what it calls.
    pub(super) async fn examined(&self, call: Call) -> Result<(Call, (Vec<u8>, Vec<u8>), SideEffects), Refusal> {
        if call.activity.len() > MAX_ACTIVITY {
            let message = format!("the name of an activity has at most {MAX_ACTIVITY} bytes");
            return Err(Refusal::invalid("request.too_large", message));
        }
        if call.records.len() > MAX_RECORDS {
            let came = call.records.len();
            let message = format!("{came} records came, and a call takes {MAX_RECORDS} at most: call several times");
            return Err(Refusal::invalid("request.too_large", message));
        }
        let (environment, project) = (call.environment.clone(), call.project.clone());
        let (name, wanted) = (call.name.clone(), call.activity.clone());
        let found = self.glance(move |turn| {
            let (current, connection) = turn.find_called(&environment, project.as_ref(), &name)?;
            let connector = turn.connector_of(&current, &environment, &connection)?;
            let (kind, class) = activity(connector, &wanted)?;
            Ok((connector.descriptor, kind, class))
        });
        let (descriptor, kind, class) = found.await?;
        if kind == ActivityKind::Source && !call.records.is_empty() {
            let message = format!("{} yields records and takes none: leave records out", call.activity);
            return Err(Refusal::invalid("action.input_invalid", message));
        }
        let input = wire(&call)?;
        let schemas = match descriptor {
            Some(descriptor) => self.input_schemas(descriptor, &call.activity).await?,
            None => None,
        };
        let Some(schemas) = schemas else { return Ok((call, input, class)) };
        let (call, found) = if input.0.len() + input.1.len() <= SMALL {
            let found = faults(&call, &schemas);
            (call, found)
        } else {
            let work = move || {
                let found = faults(&call, &schemas);
                (call, found)
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::stopping())?
        };
        if found.is_empty() {
            return Ok((call, input, class));
        }
        let message = match found.len() {
            1 => "the input has a fault: correct it and call again".to_owned(),
            many => format!("the input has {many} faults: correct them and call again"),
        };
        Err(Refusal { faults: found, ..Refusal::invalid("action.input_invalid", message) })
    }
}

fn faults(call: &Call, schemas: &InputSchemas) -> Vec<Fault> {
    let with = Value::Object(call.with.clone());
    let of_with = |schema: &Schema| schema.faults(&with, &["with"], Texts::Plain);
    let mut found = schemas.with.as_ref().map(of_with).unwrap_or_default();
    if let Some(schema) = &schemas.record {
        for (row, record) in call.records.iter().enumerate() {
            found.extend(schema.faults(record, &["records", &row.to_string()], Texts::Plain));
            if found.len() >= MAX_FAULTS {
                break;
            }
        }
    }
    found.truncate(MAX_FAULTS);
    found
}

/// Parameters as one object, records one a line.
fn wire(call: &Call) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let unwritable = |error: serde_json::Error| Refusal::invalid("request.invalid", error.to_string());
    let with = serde_json::to_vec(&call.with).map_err(unwritable)?;
    let mut records = Vec::new();
    for record in &call.records {
        serde_json::to_writer(&mut records, record).map_err(unwritable)?;
        records.push(b'\n');
    }
    if with.len() + records.len() > MAX_ACTION {
        let message = format!("parameters and records have at most {MAX_ACTION} bytes");
        return Err(Refusal::invalid("request.too_large", message));
    }
    Ok((with, records))
}
