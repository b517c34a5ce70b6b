//! The map in `src/lib.rs`: it names every file of the module.

use std::fs;
use std::path::{Path, PathBuf};

const MAP: &str = include_str!("../../src/lib.rs");

/// Paths below `src`; tests are not on the map.
fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path: PathBuf = entry.expect("an entry can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let shown = format!("{below}{name}");
        if path.is_dir() && name != "tests" {
            files(&path, &format!("{shown}/"), found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "forks.rs" {
            found.push(shown);
        }
    }
}

/// Whether the map names it by its path, by its name beside its kin, or as a module.
fn is_named(file: &str) -> bool {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let link = format!("[`{}", module.replace('/', "::"));
    let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
    let by_name = name != "mod.rs" && MAP.contains(&format!("`{name}`"));
    by_name || MAP.contains(&format!("`{file}`")) || MAP.contains(&link)
}

#[test]
fn the_map_names_every_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, "", &mut found);
    assert!(found.len() > 50, "only {} files were found", found.len());
    let missing: Vec<String> = found.into_iter().filter(|file| !is_named(file)).collect();
    assert!(missing.is_empty(), "src/lib.rs does not name {missing:?}");
}
