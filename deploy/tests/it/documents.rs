//! The documents: links that lead somewhere, and the page of dependencies beside the manifest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not ours to read.
const FOREIGN: [&str; 4] = ["target", ".git", "node_modules", "deps"];

#[test]
fn every_link_of_every_document_leads_to_a_file_and_heading() {
    let mut pages = Vec::new();
    collect(&root(), &mut pages);
    assert!(pages.len() > 20, "the documents were not found");
    let broken: Vec<_> = pages.iter().flat_map(|page| broken_links(page)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_dependency_has_its_line_and_no_line_is_stale() {
    let known: BTreeSet<_> = outside(&manifest(""), "[workspace.dependencies]").collect();
    let workspace = manifest("");
    let (members, _) = workspace.split_once("members = [").unwrap().1.split_once(']').unwrap();
    let members = members.split('"').skip(1).step_by(2).map(manifest);
    let sections = ["[dependencies]", "[build-dependencies]", "[dev-dependencies]"];
    let used: BTreeSet<_> = members
        .flat_map(|member| sections.map(|section| outside(&member, section).collect::<Vec<_>>()))
        .flatten()
        .collect();
    let page = fs::read_to_string(root().join("docs/adr/dependencies.md")).unwrap();
    let named = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let named: BTreeSet<_> = named.map(|(name, _)| name.to_owned()).collect();
    assert!(used.len() > 40, "the manifests were not understood");
    assert_eq!(used.difference(&named).collect::<Vec<_>>(), [""; 0], "used, but without a line");
    assert_eq!(named.difference(&known).collect::<Vec<_>>(), [""; 0], "a line for what the workspace does not know");
}

/// Names of the crates of others in one section of a manifest.
fn outside(manifest: &str, section: &str) -> impl Iterator<Item = String> {
    let table = manifest.split_once(&format!("\n{section}\n")).map_or("", |(_, rest)| rest);
    let table = table.split_once("\n[").map_or(table, |(table, _)| table);
    let names = table.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned());
    names.filter(|name| !name.starts_with("wherry")).collect::<Vec<_>>().into_iter()
}

fn manifest(member: &str) -> String {
    fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap()
}

fn broken_links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let ours = links.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    ours.filter(|link| !leads_somewhere(page, link)).map(|link| format!("{}: {link}", page.display())).collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let file = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    match heading {
        None => file.exists(),
        Some(heading) => fs::read_to_string(file).is_ok_and(|text| headings(&text).any(|known| known == heading)),
    }
}

/// Headings as they stand in links: lower case, without punctuation, hyphens for spaces.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    lines.map(|line| {
        let kept = line.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    })
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            collect(&path, pages);
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
