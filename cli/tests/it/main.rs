//! The tool as its users meet it: the real binary, a folder of files, a controller made of canned answers.
#![cfg(test)]

mod against_a_controller;
mod answers;
mod demo;
mod expr;
mod guides;
mod keys;
mod kit;
mod lying_moves;
mod project_faults;
mod publishers;
mod publishing;
mod sandbox;
mod secrets;
