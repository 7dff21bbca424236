//! `announcers` of site.yaml, for the sidecar.

use super::{Common, Listener, level_map};
use pharos_ops::config::Loaded;
use pharos_ops::config::schema::{
    AnnouncersSection, BirdSection, Death, ExecSection, LeaseSection, LevelName, MarkerSection, Reload,
};
use pharos_sidecar as sidecar;

/// What `check-config` says of each announcer besides the neighbours.
pub(crate) fn in_words(section: &AnnouncersSection) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(bird) = &section.bird {
        let death = match bird.death {
            Death::Lease => "routes end with their markers",
            Death::Stay => "routes stay when the sidecar dies",
        };
        let (control, include) = (bird.control.display(), bird.include.display());
        lines.push(format!("BIRD at {control}, which includes {include}; {death}"));
    }
    if let Some(lease) = &section.lease {
        let markers: Vec<_> = lease.markers.iter().map(|marker| marker.address.to_string()).collect();
        let (interface, lifetime) = (&lease.interface, lease.lifetime);
        lines.push(format!(
            "the kernel, by markers {} on {interface}, for {lifetime} at a time",
            markers.join(", ")
        ));
    }
    lines.extend(section.exec.iter().map(|exec| {
        let (name, program, timeout) = (&exec.name, exec.program.display(), exec.timeout);
        format!("program {name}: {program}, within {timeout}; routes stay when the sidecar dies")
    }));
    lines
}

/// Every announcer of the configuration besides the neighbours.
pub(super) fn all(loaded: &Loaded) -> Vec<sidecar::AnnouncerConfig> {
    let Some(section) = &loaded.site.announcers else { return Vec::new() };
    let local_as = loaded.site.local_as.unwrap_or_default();
    let bird = section.bird.iter().map(|section| bird(section, local_as));
    let lease = section.lease.iter().filter_map(lease);
    bird.chain(lease).chain(section.exec.iter().map(exec)).collect()
}

fn bird(section: &BirdSection, local_as: u32) -> sidecar::AnnouncerConfig {
    let undo = section.undo_timeout.0;
    sidecar::AnnouncerConfig {
        name: "bird".to_owned(),
        mode: super::mode(section.mode),
        way: sidecar::Way::Bird(Box::new(sidecar::BirdConfig {
            control: section.control.clone(),
            include: section.include.clone(),
            levels: levels(section, local_as),
            undo_timeout: (!undo.is_zero()).then_some(undo),
            reload: match section.reload {
                Reload::Full => sidecar::Reload::Full,
                Reload::Soft => sidecar::Reload::Soft,
            },
            look: section.look.0,
            retry: section.retry.0,
            death: match section.death {
                Death::Lease => sidecar::Death::Lease,
                Death::Stay => sidecar::Death::Stay,
            },
        })),
    }
}

fn levels(section: &BirdSection, local_as: u32) -> sidecar::LevelMap {
    let common = Common { communities: &section.communities, large_communities: &section.large_communities };
    level_map(&section.levels, &common, Listener::Daemon, local_as)
}

/// Prefixes were parsed with the bounds that the sidecar has too, so that each marker is taken over.
fn lease(section: &LeaseSection) -> Option<sidecar::AnnouncerConfig> {
    let level = |level: &LevelName| match level {
        LevelName::Normal => sidecar::Level::Normal,
        LevelName::Degraded => sidecar::Level::Degraded,
        LevelName::LastResort => sidecar::Level::LastResort,
        LevelName::Draining => sidecar::Level::Draining,
    };
    let marker = |marker: &MarkerSection| {
        Some(sidecar::MarkerConfig {
            prefix: sidecar::Prefix::new(marker.prefix.address(), marker.prefix.length_bits()).ok()?,
            address: marker.address.address,
            length: marker.address.length_bits,
            levels: marker.levels.iter().map(level).collect(),
        })
    };
    Some(sidecar::AnnouncerConfig {
        name: "lease".to_owned(),
        mode: super::mode(section.mode),
        way: sidecar::Way::Lease(sidecar::LeaseConfig {
            interface: section.interface.0.clone(),
            lifetime: section.lifetime.0,
            markers: section.markers.iter().map(marker).collect::<Option<_>>()?,
        }),
    })
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
