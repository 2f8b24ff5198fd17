//! Logging with typed fields. The text of a message is fixed in the source, and everything that varies is a field of
//! a plain type: what has no business in a log does not fit in.

use serde_json::{Map, Value};

use crate::host::{Host, Level};

/// What may stand in a log: numbers, truth values, texts, and their absence. [`Secret`](crate::Secret) may not.
pub trait Field {
    /// The field as JSON.
    fn to_field(&self) -> Value;
}

macro_rules! fields {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn to_field(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}

fields!(bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64, &str);

impl Field for String {
    fn to_field(&self) -> Value {
        self.as_str().into()
    }
}

impl<T: Field> Field for Option<T> {
    fn to_field(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::to_field)
    }
}

impl Field for &String {
    fn to_field(&self) -> Value {
        self.as_str().into()
    }
}

/// Writes one message; the macros call it.
#[doc(hidden)]
pub fn write(host: &dyn Host, level: Level, message: &'static str, fields: &[(&str, &dyn Field)]) {
    if !host.is_logged(level) {
        return;
    }
    if fields.is_empty() {
        return host.log(level, message, None);
    }
    let fields: Map<String, Value> =
        fields.iter().map(|(name, field)| ((*name).to_owned(), field.to_field())).collect();
    host.log(level, message, Some(&Value::Object(fields).to_string()));
}

/// Logs at a level: `log!(Level::Info, cx, "page read", records = 5)`.
#[macro_export]
macro_rules! log {
    ($level:expr, $cx:expr, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::log::write(
            $cx.host(),
            $level,
            $message,
            &[$((::core::stringify!($name), &$value as &dyn $crate::log::Field)),*],
        )
    };
}

/// Logs for the connector's developer.
#[macro_export]
macro_rules! debug {
    ($($all:tt)*) => { $crate::log!($crate::host::Level::Debug, $($all)*) };
}

/// Logs for the agent owner.
#[macro_export]
macro_rules! info {
    ($($all:tt)*) => { $crate::log!($crate::host::Level::Info, $($all)*) };
}

/// Logs something to look at.
#[macro_export]
macro_rules! warn {
    ($($all:tt)*) => { $crate::log!($crate::host::Level::Warn, $($all)*) };
}
