//! The walls of a worker, from outside in. What the system does not have or not allow is missing and said to be so;
//! what every system has must stand.

use std::{io, os::fd::AsFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    io::Errno,
    process::{
        DumpableBehavior, Pid, Resource, Rlimit, Signal, getppid, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    },
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

use super::{WorkerError, filter};
use crate::frame::{Hello, Wall, Walls};

/// File descriptors that are looked for where the system does not list them.
const USUAL_FILES: i32 = 4_096;
/// Standard input, output and error: socket, code and last words.
const OURS: i32 = 3;
/// Address space for one memory, which the engine reserves and does not use.
const RESERVED_PER_MEMORY: u64 = 5 << 30;
const MEMORIES_PER_INSTANCE: u64 = 2;
/// Address space of everything else.
const RESERVED: u64 = 64 << 30;
/// Memory of a worker without instances, and of one instance beside its linear memory.
const OWN_MEMORY: u64 = 256 << 20;
const INSTANCE_OVERHEAD: u64 = 16 << 20;
/// Instances that a worker without a pool has room for.
const UNPOOLED: u64 = 32;

/// Closes whatever files the agent or who started it left open: each could be a way out.
pub(super) fn close_strangers() {
    let listed: Option<Vec<i32>> = std::fs::read_dir("/proc/self/fd").ok().map(|files| {
        files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).filter(|file| *file >= OURS).collect()
    });
    for file in listed.unwrap_or_else(|| (OURS..USUAL_FILES).collect()) {
        // One of them was the list itself, which is closed already.
        let _ = nix::unistd::close(file);
    }
}

/// Refuses to live without its agent.
pub(super) fn owned_by(parent: i32) -> Result<(), WorkerError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // The agent may have died before the system knew that this is to be told.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(WorkerError::NotStarted("its agent is gone".to_owned()));
    }
    Ok(())
}

/// What can stand before the code is loaded. The process has one thread yet, so that all later ones inherit it.
pub(super) fn before_loading(hello: &Hello) -> Result<Walls, WorkerError> {
    set_no_new_privs(true).map_err(io::Error::from)?;
    let namespaces = namespaces();
    drop_capabilities();
    let limits = limits(hello);
    // Namespaces made the process undumpable, which would hide its own code from it.
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(io::Error::from)?;
    let landlock = landlock(hello.code);
    Ok(Walls { namespaces, landlock, limits, seccomp: Wall::Missing })
}

/// The rest: from here on nothing can be opened, started or made executable.
pub(super) fn after_loading(walls: &mut Walls, parent: i32) -> Result<(), WorkerError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    // New namespaces and capabilities have cleared it.
    owned_by(parent)?;
    // Its socket has another number by now, its code is mapped.
    let _ = (nix::unistd::close(0), nix::unistd::close(1));
    let full = [Resource::Nofile, Resource::Nproc].into_iter().filter_map(|resource| limit(resource, 0).err());
    let full: Vec<Errno> = full.collect();
    if let Some(error) = full.first() {
        walls.limits = Wall::Partial(format!("files and processes are not limited: {error}"));
    }
    walls.seccomp = match filter::put_up() {
        Ok(()) => Wall::Stands,
        Err(error) => {
            eprintln!("no filter of system calls: {error}");
            Wall::Missing
        }
    };
    Ok(())
}

/// Users, network, messages and host name of its own. Systems that give no user namespace may allow the others to root.
fn namespaces() -> Wall {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if unshare(CloneFlags::CLONE_NEWUSER | own).is_ok() {
        return Wall::Stands;
    }
    if unshare(own).is_ok() {
        return Wall::Partial("network, but no users of its own".to_owned());
    }
    match unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
        Ok(()) => Wall::Partial("users and network only".to_owned()),
        Err(_) => Wall::Missing,
    }
}

fn drop_capabilities() {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    // A process without any has none to give up.
    let _ = set_capabilities(None, none);
}

fn limits(hello: &Hello) -> Wall {
    let settings = &hello.settings;
    let instances = u64::try_from(settings.instances).unwrap_or(u64::MAX).max(UNPOOLED);
    let memory = u64::try_from(settings.memory_bytes).unwrap_or(u64::MAX).saturating_add(INSTANCE_OVERHEAD);
    let refused: Vec<Errno> = [
        (Resource::As, instances.saturating_mul(MEMORIES_PER_INSTANCE * RESERVED_PER_MEMORY).saturating_add(RESERVED)),
        (Resource::Data, instances.saturating_mul(memory).saturating_add(OWN_MEMORY)),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ]
    .into_iter()
    .filter_map(|(resource, most)| limit(resource, most).err())
    .collect();
    match refused.first() {
        None => Wall::Stands,
        Some(error) => Wall::Partial(error.to_string()),
    }
}

fn limit(resource: Resource, most: u64) -> Result<(), Errno> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}

/// No file but the code itself, no address, no signal to and no abstract socket of anybody outside.
fn landlock(code: bool) -> Wall {
    let abi = ABI::V6;
    let rules = || {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?;
        let ruleset = if code {
            ruleset.add_rule(PathBeneath::new(rustix::stdio::stdout().as_fd(), AccessFs::ReadFile))?
        } else {
            ruleset
        };
        ruleset.restrict_self()
    };
    match rules() {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => Wall::Stands,
            RulesetStatus::PartiallyEnforced => Wall::Partial("the kernel knows only part of it".to_owned()),
            RulesetStatus::NotEnforced => Wall::Missing,
        },
        Err::<_, landlock::RulesetError>(error) => Wall::Partial(error.to_string()),
    }
}
