//! The catalogue of partners as the program holds it: the templates that are built in, and those of a
//! directory (`postbacks.templates_dir`).

use std::{fs, io, path::Path};

use measure::postback::Template;
use thiserror::Error;
use wire::partner::{PartnerError, parse};

/// Name and text of every file of `partners/`.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/partners.rs"));

/// Files of the directory, at most.
const FILES_MAX: usize = 1_000;
/// Bytes of one file, at most.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why the templates cannot be used.
#[derive(Debug, Error)]
pub enum PartnersError {
    /// A template is wrong; the text names file, line and reason.
    #[error("template {0}")]
    Template(PartnerError),
    /// A file or the directory cannot be read.
    #[error("{path}: {source}; check postbacks.templates_dir")]
    Read {
        /// What cannot be read.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Two files claim one number, or something is too large.
    #[error("{0}")]
    Unusable(String),
}

impl From<PartnerError> for PartnersError {
    fn from(error: PartnerError) -> Self {
        Self::Template(error)
    }
}

/// The templates in order of their numbers: those that are built in, and those of `directory`, which take the
/// place of built-in ones with the same number.
pub fn load(directory: Option<&Path>) -> Result<Vec<Template>, PartnersError> {
    let mut templates = Vec::new();
    for (name, text) in EMBEDDED {
        add(&mut templates, name, parse(&format!("partners/{name}"), text)?, 0)?;
    }
    let own = templates.len();
    if let Some(directory) = directory {
        for file in files(directory)? {
            let path = file.display().to_string();
            let read = |source| PartnersError::Read { path: path.clone(), source };
            if fs::metadata(&file).map_err(read)?.len() > FILE_BYTES_MAX {
                return Err(PartnersError::Unusable(format!("{path}: larger than {FILE_BYTES_MAX} bytes")));
            }
            let text = fs::read_to_string(&file).map_err(read)?;
            add(&mut templates, &path, parse(&path, &text)?, own)?;
        }
    }
    let mut templates: Vec<Template> = templates.into_iter().map(|(_, template)| template).collect();
    // Of equal numbers the later one, of the directory, stays.
    templates.reverse();
    templates.sort_by_key(|template| template.id);
    templates.dedup_by_key(|template| template.id);
    Ok(templates)
}

/// Adds a template; among those from `first` on no other may have its number.
fn add(
    templates: &mut Vec<(String, Template)>,
    file: &str,
    template: Template,
    first: usize,
) -> Result<(), PartnersError> {
    let others = templates.iter().skip(first);
    if let Some((other, _)) = others.clone().find(|(_, other)| other.id == template.id) {
        return Err(PartnersError::Unusable(format!(
            "{file}: {other} has the number {} as well",
            template.id
        )));
    }
    templates.push((file.to_owned(), template));
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>, PartnersError> {
    let read = |source| PartnersError::Read { path: directory.display().to_string(), source };
    let mut files = Vec::new();
    for file in fs::read_dir(directory).map_err(read)? {
        let path = file.map_err(read)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        let text = format!("{}: more than {FILES_MAX} templates", directory.display());
        return Err(PartnersError::Unusable(text));
    }
    files.sort();
    Ok(files)
}
