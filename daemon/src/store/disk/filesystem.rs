//! What the store must know about the disk it lies on, and durable file operations.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::StoreError;

/// Filesystems on which locks or syncs do not hold what they promise, by the magic numbers of
/// `statfs(2)`.
const UNSAFE: [(u64, &str); 5] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x6573_5546, "a FUSE filesystem"),
];
const OVERLAY: u64 = 0x794C_7630;

/// Creates `dir` and its parents, readable by the owner only.
pub(in crate::store) fn create_private(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io("create", dir))
}

/// Refuses filesystems that cannot keep the store's promises; returns a warning about others.
pub(in crate::store) fn check(dir: &Path) -> Result<Option<String>, StoreError> {
    let found = rustix::fs::statfs(dir).map_err(|errno| StoreError::io("inspect", dir)(errno.into()))?;
    // The field's type differs between platforms; the magic numbers have 32 bits.
    let kind = found.f_type as u64 & 0xFFFF_FFFF;
    if let Some((_, name)) = UNSAFE.iter().find(|(magic, _)| *magic == kind) {
        return Err(StoreError::Filesystem { path: dir.to_owned(), kind: name });
    }
    Ok((kind == OVERLAY).then(|| {
        format!(
            "{} lies on a container's overlay filesystem and goes with the container, mount a volume",
            dir.display()
        )
    }))
}

/// Bytes an unprivileged process may still write.
pub(in crate::store) fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let found = rustix::fs::statvfs(dir).map_err(|errno| StoreError::io("inspect", dir)(errno.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes creations, renames and removals inside `dir` durable.
pub(in crate::store) fn sync_folder(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_disk_is_accepted_and_has_room() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path()).unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        sync_folder(dir.path()).unwrap();
    }

    #[test]
    fn proc_is_not_mistaken_for_a_network_disk_and_a_missing_folder_is_named() {
        assert_eq!(check(Path::new("/proc")).unwrap(), None);
        let error = check(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
