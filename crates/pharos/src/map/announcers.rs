//! `announcers` of site.yaml, for the sidecar.

use pharos_ops::config::Loaded;
use pharos_ops::config::schema::ExecSection;
use pharos_sidecar as sidecar;

/// Every announcer of the configuration besides the neighbours.
pub(super) fn all(loaded: &Loaded) -> Vec<sidecar::AnnouncerConfig> {
    let Some(section) = &loaded.site.announcers else { return Vec::new() };
    section.exec.iter().map(exec).collect()
}

fn exec(section: &ExecSection) -> sidecar::AnnouncerConfig {
    let observe = section.observe.as_ref().map(|observe| sidecar::ObserveConfig {
        program: observe.program.clone(),
        arguments: observe.arguments.clone(),
        interval: observe.interval.0,
    });
    sidecar::AnnouncerConfig {
        name: format!("exec {}", section.name),
        mode: super::mode(section.mode),
        way: sidecar::Way::Exec(sidecar::ExecConfig {
            program: section.program.clone(),
            arguments: section.arguments.clone(),
            timeout: section.timeout.0,
            retry: section.retry.0,
            observe,
        }),
    }
}
