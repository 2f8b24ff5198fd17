//! What every ledger does, whatever it stands on.

mod audit;
mod catalogue;
mod copies;
mod definitions;
mod delivery;
mod enrolment;
mod following;
mod keyed_runs;
mod keyring_reports;
mod keyrings;
mod keys;
mod limits;
mod listing;
mod loss;
mod memories;
mod owners;
mod policies;
mod results;
mod runs;
mod seats;
mod sessions;
mod signing;
mod time;
mod upgrades;
mod withdrawing;
