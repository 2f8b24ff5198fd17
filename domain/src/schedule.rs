//! Which waiting run goes to which agent of a group, and when.

pub mod queue;
pub mod slots;

pub use queue::Queue;
pub use slots::Slots;
