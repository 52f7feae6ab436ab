//! Takes the user agent rules of uap-core from where they lie inside the package of the `ua-parser` crate
//! and leaves them, as JSON, in `OUT_DIR/user_agents.json`. So rules and code always have one version, and
//! the program needs no YAML.
//!
//! The templates of `partners/` are put into the program as they are.

use std::{env, error::Error, fs, path::Path, path::PathBuf, process::Command};

use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let rules = package_directory("ua-parser")?.join("uap-core/regexes.yaml");
    let yaml = fs::read_to_string(&rules).map_err(|e| format!("{}: {e}", rules.display()))?;
    let target = Path::new(&env::var("OUT_DIR")?).join("user_agents.json");
    fs::write(target, serde_json::to_vec(&parse(&yaml)?)?)?;
    embed_partners()
}

/// Leaves the files of `partners/` in `OUT_DIR/partners.rs`, as a list of names and texts.
fn embed_partners() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("../../partners").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|file| Ok::<_, std::io::Error>(file?.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().ok_or("a file without a name")?.to_string_lossy().into_owned();
        list.push_str(&format!("    ({name:?}, include_str!({:?})),\n", file.display().to_string()));
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("partners.rs"), list)?;
    Ok(())
}

/// Where cargo keeps the sources of a package that this one depends on.
fn package_directory(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"])
        .arg(env::var("TARGET")?)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package["name"] == name)
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo metadata does not list {name}"))?;
    Ok(Path::new(manifest).parent().ok_or("a manifest without a directory")?.to_owned())
}

/// Reads the small part of YAML that the rules are written in: three lists of flat maps of quoted texts.
/// Anything else fails the build.
fn parse(yaml: &str) -> Result<Value, String> {
    let mut lists: Vec<(String, Vec<Value>)> = Vec::new();
    for (index, line) in yaml.lines().enumerate() {
        let wrong = || format!("regexes.yaml:{}: not understood: {line}", index + 1);
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            lists.push((name.to_owned(), Vec::new()));
            continue;
        }
        let rules = &mut lists.last_mut().ok_or_else(wrong)?.1;
        let entry = match text.strip_prefix("- ") {
            Some(entry) => {
                rules.push(Value::Object(Map::new()));
                entry
            }
            None => text,
        };
        let (key, value) = entry.split_once(':').ok_or_else(wrong)?;
        let rule = rules.last_mut().and_then(Value::as_object_mut).ok_or_else(wrong)?;
        match quoted(value.trim()) {
            Some(value) => rule.insert(key.to_owned(), Value::String(value)),
            None if value.trim() == "null" => None,
            None => return Err(wrong()),
        };
    }
    Ok(Value::Object(lists.into_iter().map(|(name, rules)| (name, Value::Array(rules))).collect()))
}

/// The text between single quotes, in which a doubled quote stands for one. Only a comment may follow.
fn quoted(value: &str) -> Option<String> {
    let mut rest = value.strip_prefix('\'')?;
    let mut text = String::new();
    loop {
        let (before, after) = rest.split_once('\'')?;
        text.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                text.push('\'');
                rest = more;
            }
            None => return (after.is_empty() || after.trim_start().starts_with('#')).then_some(text),
        }
    }
}
