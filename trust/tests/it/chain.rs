//! Change control: each attack on it is refused by name, and nothing of a refused catalogue is believed.

mod attacks;
mod rules;
mod stolen;
mod world;
