//! Against software that others wrote. `cargo xtask test --third-party` says where it is; without it these tests are left
//! out.

mod soap;
