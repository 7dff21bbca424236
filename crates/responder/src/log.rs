//! What a person reads of reloads and looks at signatures: one line for each thing that he may need.

use crate::vigil::{Notice, Standing};
use crate::zones::ReloadReport;

pub(crate) fn notice(notice: &Notice) {
    match notice {
        Notice::ClockDoubted(why) => {
            tracing::error!(why, "the clock is not believed: nothing is refused by it until it is");
        }
        Notice::ClockTrusted => tracing::info!("the clock is believed again"),
        Notice::Worse { zone, standing: Standing::Lapsed, findings } => {
            tracing::error!(
                zone,
                finding = findings.join("; "),
                "signatures do not hold, validators refuse them"
            );
        }
        Notice::Worse { zone, findings, .. } => {
            tracing::warn!(zone, finding = findings.join("; "), "signatures end soon");
        }
        Notice::Good(zone) => tracing::info!(zone, "signatures are good again"),
        Notice::More(zones) => tracing::warn!(zones, "so many more zones have signatures that changed"),
    }
}

pub(crate) fn reload(report: &ReloadReport) {
    for zone in &report.refused {
        tracing::error!(
            zone = zone.name,
            keeps_serial = zone.keeps_serial,
            reason = zone.reason,
            "zone data refused"
        );
    }
    for zone in &report.loaded {
        tracing::debug!(
            zone = zone.name,
            serial = zone.serial,
            records = zone.records,
            warnings = zone.warnings,
            "zone loaded"
        );
        for finding in &zone.findings {
            tracing::warn!(zone = zone.name, finding, "the zone answers in spite of this finding");
        }
    }
    for finding in &report.delegations {
        tracing::error!(finding, "a secure delegation is broken");
    }
    tracing::info!(
        loaded = report.loaded.len(),
        refused = report.refused.len(),
        unchanged = report.unchanged,
        from_images = report.from_images,
        generation = report.generation,
        took_ms = report.took_ms,
        "zones in force"
    );
}
