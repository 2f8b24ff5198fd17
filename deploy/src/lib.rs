//! What an operator installs: example configurations, systemd units, container files. This crate holds no code of its
//! own; its tests load, verify and compare the files beside it, so that none of them can grow stale.
