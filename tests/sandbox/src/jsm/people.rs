//! People and organisations of the site.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::flavour::Flavour;

/// Most people, and most organisations.
pub(crate) const LIMIT: usize = 100_000;
/// Position of the person whose credentials the agent's account has.
pub(crate) const AGENT: usize = 0;
/// Position of the customer whose credentials are given out too.
pub(crate) const CUSTOMER: usize = 2;

/// Somebody.
#[derive(Debug)]
pub(crate) struct Person {
    /// The account id on Cloud, the key and name on Data Center.
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
    /// As the platform shows the person; written once, copied into every answer.
    pub(crate) platform: Box<RawValue>,
    /// As the service desk does.
    pub(crate) desk: Box<RawValue>,
}

/// An organisation of customers.
#[derive(Debug)]
pub(crate) struct Organisation {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Positions of people.
    pub(crate) members: Vec<usize>,
    /// Positions of desks.
    pub(crate) desks: Vec<u8>,
    pub(crate) gone: bool,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) all: Vec<Person>,
    pub(crate) organisations: Vec<Organisation>,
    /// By desk: positions of customers who are customers of that desk alone.
    pub(crate) customers: [Vec<usize>; 3],
}

impl People {
    pub(crate) fn seeded(flavour: Flavour, base: &str) -> Self {
        let names = [
            ("ada", "Ada Lovelace"),
            ("bjorn", "Björn Lind"),
            ("amina", "Amina Diallo"),
            ("chiara", "Chiara Conti"),
            ("dmitri", "Dmitri Petrov"),
            ("eszter", "Eszter Nagy"),
            ("farah", "Farah Haddad"),
        ];
        let mut all = Vec::new();
        for (short, name) in names {
            let id = person_id(flavour, short, all.len());
            all.push(Person::new(flavour, base, id, format!("{short}@example.com"), name.to_owned()));
        }
        let organisation = |id, name: &str, members: &[usize], desks: &[u8]| Organisation {
            id,
            name: name.to_owned(),
            members: members.to_vec(),
            desks: desks.to_vec(),
            gone: false,
        };
        let organisations = vec![
            organisation(1, "Acme Ltd", &[AGENT, 2, 3], &[0, 1]),
            organisation(2, "Brightwater Works", &[AGENT, 4, 5], &[0]),
        ];
        Self { all, organisations, customers: [(2..7).collect(), vec![2, 3], Vec::new()] }
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Person> {
        self.all.get(at)
    }

    /// Who has this account id, name or address.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|person| person.id == id || person.email.eq_ignore_ascii_case(id))
    }

    /// Whose name or address contains this.
    pub(crate) fn search(&self, part: &str) -> Vec<usize> {
        let part = part.to_lowercase();
        let fits = |person: &Person| {
            person.name.to_lowercase().contains(&part) || person.email.contains(&part) || person.id == part
        };
        self.all.iter().enumerate().filter(|(_, person)| fits(person)).map(|(at, _)| at).collect()
    }

    pub(crate) fn organisation(&self, id: &str) -> Option<usize> {
        let fits = |organisation: &Organisation| !organisation.gone && organisation.id.to_string() == id;
        self.organisations.iter().position(fits)
    }

    /// The first organisation of a person.
    pub(crate) fn home(&self, person: usize) -> Option<u64> {
        let mut living = self.organisations.iter().filter(|organisation| !organisation.gone);
        living.find(|organisation| organisation.members.contains(&person)).map(|organisation| organisation.id)
    }
}

/// Account ids on Cloud are opaque; names on Data Center are not.
pub(crate) fn person_id(flavour: Flavour, short: &str, at: usize) -> String {
    match flavour {
        Flavour::Cloud => format!("5b10a2844c20165700ed{at:04x}"),
        Flavour::DataCenter => short.to_owned(),
    }
}

impl Person {
    pub(crate) fn new(flavour: Flavour, base: &str, id: String, email: String, name: String) -> Self {
        let avatar = |size: u32| (format!("{size}x{size}"), json!(format!("{base}/avatars/{id}-{size}.png")));
        let avatars: Map<String, Value> = [16, 24, 32, 48].map(avatar).into_iter().collect();
        let (user, parameter) = match flavour {
            Flavour::Cloud => (json!({ "accountId": id }), "rest/api/3/user?accountId"),
            Flavour::DataCenter => (json!({ "name": id, "key": id }), "rest/api/2/user?username"),
        };
        let link = format!("{base}/{parameter}={id}");
        let shared = json!({ "emailAddress": email, "displayName": name, "active": true, "timeZone": "Europe/Berlin" });
        let links = json!({ "jiraRest": link, "avatarUrls": avatars, "self": link });
        let desk = merged(&[&user, &shared, &json!({ "_links": links })]);
        let mut platform = merged(&[&user, &shared, &json!({ "self": link, "avatarUrls": avatars })]);
        if flavour == Flavour::Cloud {
            platform.insert("accountType".to_owned(), json!("atlassian"));
        }
        Self { id, email, name, platform: raw(&platform), desk: raw(&desk) }
    }
}

fn merged(parts: &[&Value]) -> Map<String, Value> {
    let fields = parts.iter().filter_map(|part| part.as_object()).flatten();
    fields.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// JSON that was written once and is copied from then on.
pub(crate) fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
