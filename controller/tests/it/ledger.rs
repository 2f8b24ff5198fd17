//! What every ledger does, whatever it stands on.

mod audit;
mod copies;
mod definitions;
mod delivery;
mod enrolment;
mod following;
mod keys;
mod limits;
mod listing;
mod loss;
mod results;
mod runs;
mod sessions;
mod time;
mod withdrawing;
