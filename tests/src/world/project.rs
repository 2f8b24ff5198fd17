//! Projects, written as one reads them.

use serde_json::{Map, Value, json};

/// A project to deploy.
#[derive(Clone, Debug)]
pub struct Project(Value);

/// A connection of a project.
#[derive(Clone, Debug)]
pub struct Connection(Value);

/// An operation of a project.
#[derive(Clone, Debug)]
pub struct Operation(Value);

impl Project {
    /// An empty project.
    pub fn named(name: &str) -> Self {
        Self(json!({ "name": name, "variables": {}, "aliases": {}, "connections": {}, "operations": {} }))
    }

    /// With a variable and its default.
    #[must_use]
    pub fn variable(self, name: &str, default: impl Into<Value>) -> Self {
        self.entry("variables", name, default.into())
    }

    /// With a connection.
    #[must_use]
    pub fn connection(self, name: &str, connection: Connection) -> Self {
        self.entry("connections", name, connection.0)
    }

    /// With an alias for a connection of that connector.
    #[must_use]
    pub fn alias(self, name: &str, connector: &str) -> Self {
        self.entry("aliases", name, json!({ "connector": connector }))
    }

    /// With an operation.
    #[must_use]
    pub fn operation(self, name: &str, operation: Operation) -> Self {
        self.entry("operations", name, operation.0)
    }

    /// As the interface takes it.
    pub fn json(&self) -> &Value {
        &self.0
    }

    fn entry(mut self, section: &str, name: &str, value: Value) -> Self {
        if let Some(entries) = self.0.get_mut(section).and_then(Value::as_object_mut) {
            entries.insert(name.to_owned(), value);
        }
        self
    }
}

impl Connection {
    /// A connection of the `http` connector, without authentication.
    pub fn to(url: &str) -> Self {
        Self(json!({ "connector": "http", "url": url }))
    }

    /// Of another connector.
    #[must_use]
    pub fn of(self, connector: &str) -> Self {
        Self(with(self.0, "connector", json!(connector)))
    }

    /// With a user and the name of a password.
    #[must_use]
    pub fn basic(self, username: &str, secret: &str) -> Self {
        Self(with(self.0, "auth", json!({ "type": "basic", "username": username, "password": { "secret": secret } })))
    }

    /// With an option of its connector.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(fields) = self.0.as_object_mut() {
            let options = fields.entry("options").or_insert_with(|| json!({}));
            options.as_object_mut().map(|options| options.insert(name.to_owned(), value.into()));
        }
        self
    }

    /// With anything else.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        Self(with(self.0, key, value.into()))
    }

    /// With the name of a token.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        Self(with(self.0, "auth", json!({ "type": "bearer", "token": { "secret": secret } })))
    }
}

impl Operation {
    /// Reads from an activity of a connection.
    pub fn from(connection: &str, activity: &str, parameters: Value) -> Self {
        Self(json!({ "source": { "connection": connection, "activity": activity, "with": parameters } }))
    }

    /// Writes to an activity of a connection.
    #[must_use]
    pub fn to(self, connection: &str, activity: &str, parameters: Value) -> Self {
        let target = json!({ "connection": connection, "activity": activity, "with": parameters });
        Self(with(self.0, "target", target))
    }

    /// With a side-effect class.
    #[must_use]
    pub fn class(self, class: &str) -> Self {
        Self(with(self.0, "side_effects", json!(class)))
    }

    /// With so many attempts, close to each other.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self(with(self.0, "retry", json!({ "attempts": attempts, "backoff": "fixed", "base": "100ms" })))
    }

    /// With anything else.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        Self(with(self.0, key, value.into()))
    }
}

fn with(object: Value, key: &str, value: Value) -> Value {
    let mut fields = match object {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    fields.insert(key.to_owned(), value);
    Value::Object(fields)
}
