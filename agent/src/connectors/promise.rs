//! Whether a component keeps what its signed release promises.
//!
//! Projects are checked, and runs repeated, by what the release declares. A release that calls an activity more
//! harmless than its own component does would have runs repeated that must not be.

use wherry_host::{ActivityKind as Shown, Descriptor};
use wherry_trust::release::{Activity, ActivityKind, Release};

/// How release and component differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// The descriptor is not the signed one.
    #[error("it describes itself otherwise than its signed release says")]
    OtherDescriptor,
    /// The component does not know the activity.
    #[error("its release declares the activity {activity}, which the component does not offer")]
    Missing {
        /// The activity's name.
        activity: String,
    },
    /// Records flow the other way.
    #[error("its release declares {activity} as a {declared}, the component offers it as the opposite")]
    OtherKind {
        /// The activity's name.
        activity: String,
        /// What the release says.
        declared: &'static str,
    },
    /// The release promises too much.
    #[error("its release declares {activity} as {declared}, the component only as {offered}")]
    Laxer {
        /// The activity's name.
        activity: String,
        /// What the release says.
        declared: &'static str,
        /// What the component says.
        offered: &'static str,
    },
}

/// The component says word for word what was signed, where that was signed, and offers what is declared.
pub(super) fn keeps(release: &Release, said: &str, component: &Descriptor) -> Result<(), Broken> {
    if release.descriptor.is_some_and(|signed| !signed.matches(said)) {
        return Err(Broken::OtherDescriptor);
    }
    check(&release.activities, component)
}

/// Every declared activity is offered, of the same kind, and with no stricter class than declared. What the release
/// does not declare cannot be used, so it may be there.
fn check(declared: &[Activity], component: &Descriptor) -> Result<(), Broken> {
    for Activity { name, kind, side_effects } in declared {
        let activity = name.clone();
        let Some(offered) = component.activity(name) else { return Err(Broken::Missing { activity }) };
        match (kind, offered.kind) {
            (ActivityKind::Source, Shown::Source) | (ActivityKind::Target, Shown::Target) => (),
            (ActivityKind::Source, Shown::Target) => return Err(Broken::OtherKind { activity, declared: "source" }),
            (ActivityKind::Target, Shown::Source) => return Err(Broken::OtherKind { activity, declared: "target" }),
        }
        if *side_effects < offered.side_effects {
            let (declared, offered) = (side_effects.as_str(), offered.side_effects.as_str());
            return Err(Broken::Laxer { activity, declared, offered });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wherry_domain::effects::SideEffects;

    fn said() -> String {
        let activity = |name: &str, kind: &str, class: &str| json!({ "name": name, "kind": kind, "sideEffects": class, "configSchema": {} });
        let document = json!({
            "schemaVersion": 1, "name": "crm", "version": "1.0.0", "connection": { "configSchema": {} },
            "activities": [activity("query", "source", "read"), activity("send", "target", "keyed")],
        });
        document.to_string()
    }

    fn component() -> Descriptor {
        Descriptor::parse(&said()).unwrap()
    }

    fn declared(name: &str, kind: ActivityKind, side_effects: SideEffects) -> Result<(), Broken> {
        check(&[Activity { name: name.to_owned(), kind, side_effects }], &component())
    }

    #[test]
    fn a_release_may_say_less_and_be_stricter_and_never_more_harmless() {
        assert_eq!(declared("send", ActivityKind::Target, SideEffects::Keyed), Ok(()));
        assert_eq!(declared("send", ActivityKind::Target, SideEffects::Unsafe), Ok(()));
        let laxer = declared("send", ActivityKind::Target, SideEffects::Idempotent).unwrap_err().to_string();
        assert_eq!(laxer, "its release declares send as idempotent, the component only as keyed");
        let missing = declared("sends", ActivityKind::Target, SideEffects::Unsafe).unwrap_err();
        assert_eq!(missing, Broken::Missing { activity: "sends".to_owned() });
        let turned = declared("query", ActivityKind::Target, SideEffects::Unsafe).unwrap_err();
        assert!(turned.to_string().contains("query as a target"), "{turned}");
        assert_eq!(check(&[], &component()), Ok(()));
    }

    #[test]
    fn a_component_that_describes_itself_otherwise_than_was_signed_is_refused() {
        let release = Release::of(b"component", &said(), semver::Version::new(0, 1, 0), String::new()).unwrap();
        assert_eq!(keeps(&release, &said().replace(',', ",\n "), &component()), Ok(()));
        let other = said().replace("\"connection\":", "\"title\":\"Another\",\"connection\":");
        assert_eq!(keeps(&release, &other, &component()), Err(Broken::OtherDescriptor));
        let old = Release { descriptor: None, ..release };
        assert_eq!(keeps(&old, &other, &component()), Ok(()));
    }
}
