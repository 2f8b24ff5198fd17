//! Agent names: one spelling each.

use proptest::prelude::*;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};
use wherry_trust::names::{AgentIdentity, MalformedName};

#[test]
fn a_name_has_the_documented_spelling() {
    let uri = identity("wherry.example", 1, 2, 3).to_uri();
    let organisation = "org_00000000000000000000000000000001";
    let group = "grp_00000000000000000000000000000002";
    let agent = "agt_00000000000000000000000000000003";
    assert_eq!(uri, format!("spiffe://wherry.example/org/{organisation}/group/{group}/agent/{agent}"));
}

#[test]
fn other_spellings_of_a_name_are_refused() {
    let good = identity("wherry.example", 0xab, 2, 3).to_uri();
    for bad in [
        String::new(),
        good.replace("spiffe://", "SPIFFE://"),
        good.replace("spiffe://", "spiffe:/"),
        good.replace("wherry.example", "Wherry.example"),
        good.replace("wherry.example", "wherry.example:443"),
        good.replace("wherry.example", "user@wherry.example"),
        good.replace("wherry.example", "wherry%2eexample"),
        good.replace("wherry.example", ""),
        good.replace("/org/", "//org/"),
        good.replace("/org/", "/./org/"),
        good.replace("/org/", "/organisation/"),
        good.replace("ab/", "AB/"),
        good.replace("ab/", "a%62/"),
        good.replace("/group/grp_", "/group/agt_"),
        good.replace("/group/", "/agent/"),
        format!("{good}/"),
        format!("{good}/extra"),
        format!("{good}?x=1"),
        format!("{good}#x"),
        format!("{good}\0"),
        format!(" {good}"),
        good.replace("wherry.example", &"x".repeat(600)),
        good.rsplit_once('/').unwrap().0.to_owned(),
    ] {
        assert_eq!(AgentIdentity::from_uri(&bad), Err(MalformedName), "{bad}");
    }
}

#[test]
fn a_domain_outside_the_alphabet_is_refused() {
    let (organisation, group, agent) = (OrganisationId::from_u128(1), GroupId::from_u128(2), AgentId::from_u128(3));
    for bad in ["", "A", "a/b", "a b", "ä", &"x".repeat(256)] {
        assert_eq!(AgentIdentity::new(bad, organisation, group, agent), Err(MalformedName), "{bad}");
    }
}

proptest! {
    #[test]
    fn every_name_reads_back(domain in "[a-z0-9._-]{1,60}", o: u128, g: u128, a: u128) {
        let identity = identity(&domain, o, g, a);
        prop_assert_eq!(identity.to_uri().parse::<AgentIdentity>(), Ok(identity.clone()));
        prop_assert_eq!(identity.domain(), domain);
        prop_assert_eq!(identity.organisation().as_u128(), o);
        prop_assert_eq!(identity.group().as_u128(), g);
        prop_assert_eq!(identity.agent().as_u128(), a);
    }

    #[test]
    fn what_is_accepted_has_one_spelling(text in "spiffe://[a-z.%/]{0,20}/org/[a-z0-9_%/.]{0,40}") {
        if let Ok(identity) = AgentIdentity::from_uri(&text) {
            prop_assert_eq!(identity.to_uri(), text);
        }
    }
}

fn identity(domain: &str, organisation: u128, group: u128, agent: u128) -> AgentIdentity {
    let organisation = OrganisationId::from_u128(organisation);
    AgentIdentity::new(domain, organisation, GroupId::from_u128(group), AgentId::from_u128(agent)).unwrap()
}
