//! Where the configuration stands, and from it (or from defaults) where running processes answer.

use crate::cli::Files;
use crate::failure::Failure;
use pharos_ops::config::{self, Loaded, Need};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where packages put the configuration.
const DEFAULT_DIRECTORY: &str = "/etc/pharos";

impl Files {
    /// The paths of both files.
    pub(crate) fn paths(&self) -> (PathBuf, PathBuf) {
        let named = self.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIRECTORY));
        let pharos = if named.is_dir() || self.config.is_none() { named.join("pharos.yaml") } else { named };
        let site = self.site.clone().unwrap_or_else(|| pharos.with_file_name("site.yaml"));
        (pharos, site)
    }

    /// Whether the person named any file.
    fn are_named(&self) -> bool {
        self.config.is_some() || self.site.is_some()
    }

    /// Reads and checks both files.
    pub(crate) fn load(&self, need: Need) -> Result<Loaded, Failure> {
        let (pharos, site) = self.paths();
        Ok(config::load(&pharos, &site, need)?)
    }

    /// Where the processes of this configuration answer. Without any, where they answer by default.
    pub(crate) fn places(&self) -> Result<Places, Failure> {
        if !self.are_named() && !self.paths().0.exists() {
            return Ok(Places::default());
        }
        let loaded = self.load(Need::Present)?;
        let defaults = Places::default();
        let (responder, sidecar) = (loaded.pharos.responder.as_ref(), loaded.pharos.sidecar.as_ref());
        Ok(Places {
            responder_management: responder.map_or(defaults.responder_management, |it| it.management.0),
            responder_control: responder.map_or(defaults.responder_control, |it| loaded.path(&it.control)),
            sidecar_management: sidecar.map_or(defaults.sidecar_management, |it| it.management.0),
            sidecar_control: sidecar.map_or(defaults.sidecar_control, |it| loaded.path(&it.control)),
        })
    }
}

/// Where running processes answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) responder_management: SocketAddr,
    pub(crate) responder_control: PathBuf,
    pub(crate) sidecar_management: SocketAddr,
    pub(crate) sidecar_control: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            responder_management: (Ipv4Addr::LOCALHOST, 9153).into(),
            responder_control: "/run/pharos/responder.sock".into(),
            sidecar_management: (Ipv4Addr::LOCALHOST, 9154).into(),
            sidecar_control: "/run/pharos/sidecar.sock".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_yaml_is_looked_for_beside_pharos_yaml() {
        let files = Files { config: Some("lab/node.yaml".into()), site: None };
        assert_eq!(files.paths(), ("lab/node.yaml".into(), "lab/site.yaml".into()));
        let files = Files { config: None, site: Some("/x/site.yaml".into()) };
        assert_eq!(files.paths(), ("/etc/pharos/pharos.yaml".into(), "/x/site.yaml".into()));
    }
}
