//! Which of the agent's proxies a connection takes.

use crate::{name::Name, project::Connection};

/// Which of the agent's proxies a connection takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyChoice {
    /// None.
    #[default]
    Direct,
    /// The default one, `[proxy]` in the agent's configuration.
    Default,
    /// The one of that name, `[proxies.NAME]` in the agent's configuration.
    Named(Name),
}

impl Connection {
    /// Which of the agent's proxies it takes. A named one implies `use_proxy`.
    pub fn proxy_choice(&self) -> ProxyChoice {
        match (&self.proxy, self.use_proxy) {
            (Some(name), _) => ProxyChoice::Named(name.clone()),
            (None, Some(true)) => ProxyChoice::Default,
            (None, Some(false) | None) => ProxyChoice::Direct,
        }
    }

    /// Whether it names a proxy and says that it uses none.
    pub fn contradicts_itself(&self) -> bool {
        self.proxy.is_some() && self.use_proxy == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use serde_json::{Value, json};

    use super::*;
    use crate::project::{Project, check::check};

    #[test]
    fn a_connection_cannot_name_a_proxy_and_use_none() {
        let named = ProxyChoice::Named("dmz".parse().unwrap());
        for (use_proxy, proxy, choice, contradicted) in [
            (json!(true), json!("dmz"), named.clone(), false),
            (Value::Null, json!("dmz"), named.clone(), false),
            (json!(false), json!("dmz"), named, true),
            (json!(true), Value::Null, ProxyChoice::Default, false),
            (json!(false), Value::Null, ProxyChoice::Direct, false),
            (Value::Null, Value::Null, ProxyChoice::Direct, false),
        ] {
            let desk = json!({ "connector": "http", "url": "https://desk", "use_proxy": use_proxy, "proxy": proxy });
            let project: Project =
                serde_json::from_value(json!({ "name": "p", "connections": { "desk": desk } })).unwrap();
            assert_eq!(project.connections.values().next().unwrap().proxy_choice(), choice);
            let faults: Vec<_> = check(&project, None).into_iter().map(|fault| (fault.code, fault.path)).collect();
            assert_eq!(faults.len(), usize::from(contradicted));
            for (code, path) in faults {
                assert_eq!(
                    (code.as_str(), path.join(".").as_str()),
                    ("project.proxy_contradicted", "connections.desk.proxy")
                );
            }
        }
    }
}
