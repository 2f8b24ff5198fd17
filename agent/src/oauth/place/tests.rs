//! Places on a real disk.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

use super::*;

#[test]
fn every_connection_has_a_folder_of_its_own_made_of_its_names() {
    let world = World::new(false);
    let mut seen = std::collections::HashSet::new();
    let names = ["a", "b", "ab", "a-b", "c"];
    for environment in names {
        for project in names {
            for connection in names {
                let path = path(&format!("{environment}/{project}/{connection}"));
                let place = world.places.place(&path, "").unwrap();
                assert!(seen.insert(place.folder.path().to_owned()), "{path}");
                assert_eq!(place.folder.names(9).unwrap().len(), 2);
                let mode = fs::metadata(place.folder.path()).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o700);
            }
        }
    }
    assert_eq!(seen.len(), 125);
}

#[test]
fn a_place_is_held_as_long_as_it_is_used_and_found_again() {
    let world = World::new(false);
    let one = path("prod/desk/one");
    let first = world.places.place(&one, "").unwrap();
    assert_eq!(code(world.places.place(&one, "")), "oauth.location_shared");
    first.folder.write("x", b"1").unwrap();
    drop(first);
    let again = world.reopened().place(&one, "").unwrap();
    assert_eq!(again.folder.read("x").unwrap().unwrap().as_slice(), b"1");
}

#[test]
fn a_location_needs_the_owners_word() {
    let world = World::new(false);
    assert_eq!(code(world.places.place(&path("prod/desk/one"), "jira")), "oauth.location_off");
}

#[test]
fn two_connections_never_share_a_location_whatever_it_is_called_and_after_a_restart() {
    let world = World::new(true);
    let (one, two) = (path("prod/desk/one"), path("prod/desk/two"));
    let held = world.places.place(&one, "Jira/Caf\u{e9}").unwrap();
    drop(held);
    let root = world.root().join("jira-link");
    symlink(world.root().join("Jira"), &root).unwrap();
    for places in [&world.places, &world.reopened()] {
        for other in ["jira/cafe\u{301}", "JIRA/./caf\u{c9}/", "jira", "Jira/Caf\u{e9}/deeper", "x/../Jira/Caf\u{e9}"] {
            let refused = places.place(&two, other).unwrap_err();
            assert_eq!(refused.code().as_str(), "oauth.location_shared", "{other}: {refused}");
            let text = refused.to_string();
            assert!(text.contains("prod/desk/one") && text.contains("prod/desk/two"), "{text}");
        }
        // Links are not followed at all.
        assert_eq!(code(places.place(&two, "jira-link/other")), "oauth.storage");
    }
    assert!(world.places.place(&one, "Jira/Caf\u{e9}").is_ok());
    assert!(world.places.place(&two, "jira-two").is_ok());
}

#[test]
fn a_location_inside_a_mounted_twin_is_recognised_by_its_folder() {
    let world = World::new(true);
    let (one, two) = (path("prod/desk/one"), path("prod/desk/two"));
    drop(world.places.place(&one, "shared").unwrap());
    // As if the claims had been lost, or another spelling led there: the folder itself says whose it is.
    fs::remove_file(world.dir.path().join("data/oauth/claims.json")).unwrap();
    assert_eq!(code(world.reopened().place(&two, "shared")), "oauth.location_shared");
    let stranger = World::new(true);
    let settings = LocationSettings { enabled: true, roots: vec![world.root()] };
    let places = Places::open(&DataDir::new(stranger.dir.path().join("data")), settings).unwrap();
    assert_eq!(code(places.place(&one, "shared")), "oauth.location_shared");
}

#[test]
fn folders_of_others_are_left_alone() {
    let world = World::new(true);
    let one = path("prod/desk/one");
    fs::DirBuilder::new().mode(0o700).create(world.root().join("full")).unwrap();
    fs::write(world.root().join("full/letter"), "x").unwrap();
    assert_eq!(code(world.places.place(&one, "full")), "oauth.location_taken");
    fs::DirBuilder::new().mode(0o755).create(world.root().join("open")).unwrap();
    assert_eq!(code(world.places.place(&one, "open")), "oauth.location_taken");
    fs::write(world.root().join("file"), "x").unwrap();
    assert_eq!(code(world.places.place(&one, "file")), "oauth.storage");
    for hostile in ["../data/identity", "/etc/cron.d/x", "..", "a\0b"] {
        assert_eq!(code(world.places.place(&one, hostile)), "oauth.location_invalid", "{hostile:?}");
    }
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 2, "nothing was made elsewhere");
}

#[test]
fn a_folder_that_was_removed_is_free_again() {
    let world = World::new(true);
    drop(world.places.place(&path("prod/desk/one"), "jira").unwrap());
    fs::remove_dir_all(world.root().join("jira")).unwrap();
    assert!(world.places.place(&path("prod/desk/two"), "jira").is_ok());
}

#[test]
fn a_root_around_or_inside_the_data_folder_is_refused() {
    let world = World::new(true);
    for root in [world.dir.path().to_owned(), world.dir.path().join("data"), world.dir.path().join("data/oauth")] {
        let settings = LocationSettings { enabled: true, roots: vec![root] };
        let places = Places::open(&DataDir::new(world.dir.path().join("data")), settings).unwrap();
        assert_eq!(code(places.place(&path("prod/desk/one"), "x")), "oauth.location_invalid");
    }
    let places = Places::open(
        &DataDir::new(world.dir.path().join("data")),
        LocationSettings { enabled: true, roots: Vec::new() },
    );
    let place = places.unwrap().place(&path("prod/desk/one"), "x").unwrap();
    assert!(place.folder.path().ends_with("data/oauth-files/x"));
}

struct World {
    dir: tempfile::TempDir,
    settings: LocationSettings,
    places: Places,
}

impl World {
    fn new(enabled: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let settings = LocationSettings { enabled, roots: vec![dir.path().join("root")] };
        let places = Places::open(&DataDir::new(dir.path().join("data")), settings.clone()).unwrap();
        Self { dir, settings, places }
    }

    fn reopened(&self) -> Places {
        Places::open(&DataDir::new(self.dir.path().join("data")), self.settings.clone()).unwrap()
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
}

fn path(text: &str) -> ConnectionPath {
    text.parse().unwrap()
}

fn code(result: Result<Place, PlaceError>) -> String {
    result.unwrap_err().code().as_str().to_owned()
}
