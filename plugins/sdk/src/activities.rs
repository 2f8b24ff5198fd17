//! What a connector can do: activities with typed parameters.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connector::Connector;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::run;
use crate::writer::Writer;

/// What happens outside when an activity runs. It decides what follows after an agent was lost; when in doubt, say
/// [`SideEffects::Unsafe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SideEffects {
    /// Nothing changes.
    Read,
    /// It may be done again.
    Idempotent,
    /// The system tells repetitions apart by the invocation's key.
    Keyed,
    /// Repeating it may do it twice.
    Unsafe,
}

/// Which way records flow. Only descriptors say it, and those are made natively.
#[cfg(not(target_family = "wasm"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flow {
    Source,
    Target,
}

/// How an activity ended well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    pub(crate) more: bool,
    pub(crate) output: Option<Value>,
}

impl Done {
    /// Nothing more to do and nothing to tell.
    pub fn silently() -> Self {
        Self::default()
    }

    /// Nothing more to do; `output` is a small document for people and later operations, at most 256 KiB.
    pub fn with(output: impl Serialize) -> Self {
        Self { more: false, output: serde_json::to_value(output).ok() }
    }

    /// Call again with the cursor written last: slices long work.
    #[must_use]
    pub fn and_more(mut self) -> Self {
        self.more = true;
        self
    }
}

/// How a schema is made. A component carries its descriptor as text, so what makes it stays out of the component.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Copy)]
pub(crate) struct SchemaOf {
    pub(crate) make: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    pub(crate) type_name: fn() -> String,
}
#[cfg(target_family = "wasm")]
pub(crate) struct SchemaOf;

impl SchemaOf {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self { make: schemars::SchemaGenerator::root_schema_for::<T>, type_name: || T::schema_name().into_owned() }
    }

    #[cfg(target_family = "wasm")]
    fn of<T: JsonSchema>() -> Self {
        Self
    }
}

type SourceRun<C> = Box<dyn Fn(&Context<<C as Connector>::Options>, &str, &mut Writer) -> Result<Done>>;
type TargetRun<C> = Box<dyn Fn(&Context<<C as Connector>::Options>, &str, &mut Reader) -> Result<Done>>;

/// How an activity is run.
pub(crate) enum Handler<C: Connector> {
    Source(SourceRun<C>),
    Target(TargetRun<C>),
}

/// One activity. Its schemas are made only when somebody asks for the descriptor.
#[cfg_attr(target_family = "wasm", expect(dead_code, reason = "the descriptor is made natively"))]
pub(crate) struct Activity<C: Connector> {
    pub(crate) name: &'static str,
    pub(crate) side_effects: SideEffects,
    pub(crate) title: Option<&'static str>,
    pub(crate) description: Option<&'static str>,
    pub(crate) max_parallel: u32,
    pub(crate) counters: &'static [&'static str],
    pub(crate) params: SchemaOf,
    pub(crate) input: Option<SchemaOf>,
    pub(crate) output: Option<SchemaOf>,
    pub(crate) handler: Handler<C>,
}

#[cfg(not(target_family = "wasm"))]
impl<C: Connector> Activity<C> {
    pub(crate) const fn flow(&self) -> Flow {
        match self.handler {
            Handler::Source(_) => Flow::Source,
            Handler::Target(_) => Flow::Target,
        }
    }
}

/// The activities of a connector. Title and description of an activity are those of its parameters' type: `/// # Title`
/// in the first line of its documentation, and the text below.
pub struct Activities<C: Connector>(pub(crate) Vec<Activity<C>>);

impl<C: Connector> Default for Activities<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Connector> Activities<C> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source: it yields records through the writer.
    #[must_use]
    pub fn source<P: DeserializeOwned + JsonSchema + 'static>(
        self,
        name: &'static str,
        side_effects: SideEffects,
        run: fn(&Context<C::Options>, P, &mut Writer) -> Result<Done>,
    ) -> Self {
        let handler: SourceRun<C> = Box::new(move |cx, params, out| run(cx, run::params(params)?, out));
        self.add::<P>(name, side_effects, Handler::Source(handler))
    }

    /// Adds a target: it takes records from the reader.
    #[must_use]
    pub fn target<P: DeserializeOwned + JsonSchema + 'static>(
        self,
        name: &'static str,
        side_effects: SideEffects,
        run: fn(&Context<C::Options>, P, &mut Reader) -> Result<Done>,
    ) -> Self {
        let handler: TargetRun<C> = Box::new(move |cx, params, input| run(cx, run::params(params)?, input));
        self.add::<P>(name, side_effects, Handler::Target(handler))
    }

    fn add<P: JsonSchema>(mut self, name: &'static str, side_effects: SideEffects, handler: Handler<C>) -> Self {
        self.0.push(Activity {
            name,
            side_effects,
            title: None,
            description: None,
            max_parallel: 1,
            counters: &[],
            params: SchemaOf::of::<P>(),
            input: None,
            output: None,
            handler,
        });
        self
    }

    /// Names the activity added last, where two share a type of parameters.
    #[must_use]
    pub fn titled(self, title: &'static str, description: &'static str) -> Self {
        self.change(|activity| (activity.title, activity.description) = (Some(title), Some(description)))
    }

    /// Says what records the target added last takes.
    #[must_use]
    pub fn takes<T: JsonSchema>(self) -> Self {
        self.change(|activity| activity.input = Some(SchemaOf::of::<T>()))
    }

    /// Says what records the source added last yields.
    #[must_use]
    pub fn yields<T: JsonSchema>(self) -> Self {
        self.change(|activity| activity.output = Some(SchemaOf::of::<T>()))
    }

    /// Lets so many instances of the target added last share one input, 1 to 64. Leave it at 1 where keys are made
    /// from row numbers.
    #[must_use]
    pub fn parallel(self, instances: u32) -> Self {
        self.change(|activity| activity.max_parallel = instances)
    }

    /// Declares counters of the activity added last, at most 64 names of `[a-z0-9_.-]`. Their sums stand in the run's log
    /// for everybody who may see the run; a counter that is not declared stays in the agent's own log.
    #[must_use]
    pub fn counting(self, names: &'static [&'static str]) -> Self {
        self.change(|activity| activity.counters = names)
    }

    fn change(mut self, change: impl FnOnce(&mut Activity<C>)) -> Self {
        if let Some(last) = self.0.last_mut() {
            change(last);
        }
        self
    }

    pub(crate) fn find(self, name: &str) -> Result<Activity<C>> {
        let mut names = Vec::with_capacity(self.0.len());
        for activity in self.0 {
            if activity.name == name {
                return Ok(activity);
            }
            names.push(activity.name);
        }
        let message = format!("the connector {} has no activity {name:?}; it has {}", C::NAME, names.join(", "));
        Err(Error::new(crate::Kind::Unsupported, "connector.activity_unknown", message))
    }
}
