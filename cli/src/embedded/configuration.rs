//! The configuration file and the folder of data that belongs to it.

use std::path::{Path, PathBuf};

use holdfast_core::config::{Config, parse};
use holdfast_core::domain::{Resource, ResourceKind};
use jiff::Timestamp;

use crate::args::Place;
use crate::error::CliError;

/// A checked configuration and where its data is.
pub struct Installation {
    /// The configuration; paths of resources are absolute.
    pub config: Config,
    /// The data folder, absolute.
    pub data: PathBuf,
}

/// Reads the configuration that `place` names, for this program to work on. Every problem is reported at once, and nothing is
/// applied.
pub fn load(place: &Place, now: Timestamp) -> Result<Installation, CliError> {
    let installation = read(place, now)?;
    let resources = &installation.config.resources;
    if let Some(resource) = resources.iter().find(|one| !is_ours(one.kind)) {
        return Err(CliError::usage(format!(
            "{}: resource \"{}\" is of kind {}, which only a deployment on AWS can work on; this program protects \
             files and PostgreSQL servers. Nothing was applied",
            place.config.display(),
            resource.id,
            resource.kind.as_str()
        )));
    }
    Ok(installation)
}

/// Reads the configuration that `place` names, also one that only a deployment on AWS can work on.
pub fn read(place: &Place, now: Timestamp) -> Result<Installation, CliError> {
    let file = &place.config;
    let text = std::fs::read_to_string(file).map_err(|error| {
        let hint = "name it with --config, or write one: docs/holdfast.example.toml is a start";
        CliError::usage(format!(
            "configuration {} cannot be read: {error}; {hint}",
            file.display()
        ))
    })?;
    let mut config = parse(&text, now).map_err(|problems| {
        let listed: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        let count = problems.len();
        CliError::usage(format!(
            "{} has {count} problems; nothing was applied\n{}",
            file.display(),
            listed.join("\n")
        ))
    })?;
    let folder = folder_of(file)?;
    let on_disk = |resource: &&mut Resource| resource.kind == ResourceKind::Files;
    for resource in config.resources.iter_mut().filter(on_disk) {
        resource.path = folder.join(&resource.path).to_string_lossy().into_owned();
    }
    for server in config
        .resources
        .iter_mut()
        .filter_map(|resource| resource.server.as_mut())
    {
        if let Some(file) = server.password.as_mut().filter(|place| !place.starts_with("arn:")) {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
    }
    let trials = config
        .resources
        .iter_mut()
        .filter_map(|resource| resource.trial.as_mut());
    for trial in trials.map(|rule| &mut rule.trial) {
        for path in [Some(&mut trial.folder), trial.programs.as_mut()].into_iter().flatten() {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
    let data = match (&place.data, &config.settings.data) {
        (Some(data), _) => absolute(data)?,
        (None, Some(data)) => folder.join(data),
        (None, None) => folder.join("holdfast-data"),
    };
    Ok(Installation { config, data })
}

fn is_ours(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::Files | ResourceKind::Postgres)
}

fn folder_of(file: &Path) -> Result<PathBuf, CliError> {
    let file = absolute(file)?;
    Ok(file.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
}

/// A path as seen from the folder that the program was started in.
pub fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .map_err(|error| CliError::failed(format!("{} cannot be made absolute: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_deployment_on_aws_can_protect_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("holdfast.toml");
        let text = r#"
            region = "eu-central-1"
            [[vault]]
            name = "primary"
            region = "eu-central-1"
            [[resource]]
            name = "orders-db"
            kind = "rds"
            path = "orders"
        "#;
        std::fs::write(&file, text).unwrap();
        let place = Place {
            config: file,
            data: None,
        };
        let error = load(&place, Timestamp::UNIX_EPOCH).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains("orders-db") && error.contains("rds"), "{error}");
    }
}
