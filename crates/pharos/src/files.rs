//! Where the configuration stands, and from it (or from defaults) where running processes answer.

use crate::cli::Files;
use crate::failure::Failure;
use pharos_ops::config::values::Endpoint;
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
        let place = |management: Endpoint, control| Place { management: management.0, control };
        let (responder, sidecar) = (&loaded.pharos.responder, &loaded.pharos.sidecar);
        Ok(Places {
            responder: responder.as_ref().map(|it| place(it.management, loaded.path(&it.control))),
            sidecar: sidecar.as_ref().map(|it| place(it.management, loaded.path(&it.control))),
        })
    }
}

/// Where running processes answer; `None` for one that the configuration does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) responder: Option<Place>,
    pub(crate) sidecar: Option<Place>,
}

/// Where one process answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where HTTP serves its status.
    pub(crate) management: SocketAddr,
    /// Its control socket.
    pub(crate) control: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        let place = |port, control: &str| Place {
            management: (Ipv4Addr::LOCALHOST, port).into(),
            control: control.into(),
        };
        Self {
            responder: Some(place(9153, "/run/pharos/responder.sock")),
            sidecar: Some(place(9154, "/run/pharos/sidecar.sock")),
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
