//! What is wrong with a signed zone, gathered by several threads and bounded.

use crate::diagnostic::{Diagnostic, Severity};
use crate::scan::{MAX_KEPT, Place};

use super::Broken;

/// Findings that the content of the zone alone decides: the first [`MAX_KEPT`] of each severity, and how many there
/// were.
#[derive(Default)]
pub(crate) struct Faults {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    pub(crate) errors_total: u64,
    pub(crate) warnings_total: u64,
}

impl Faults {
    /// A validator would not believe some answer.
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.errors_total += 1;
        if self.errors.len() < MAX_KEPT {
            self.errors.push(Diagnostic::error(place, message, remedy));
        }
    }

    /// Validators believe all of it, yet something is odd.
    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.warnings_total += 1;
        if self.warnings.len() < MAX_KEPT {
            self.warnings.push(Diagnostic::warning(place, message, remedy));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.errors_total == 0
    }

    /// Where the first error in the file stands, and what it is.
    pub(crate) fn first_error(&self) -> Option<&Diagnostic> {
        self.errors.iter().min_by_key(|finding| finding.place)
    }

    /// Adds what others found.
    pub(crate) fn join(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
        self.errors_total += other.errors_total;
        self.warnings_total += other.warnings_total;
    }

    /// All findings in the order of the file, and how many errors and warnings are counted and not among them. Where
    /// broken zones are served, errors are warnings.
    pub(crate) fn into_findings(mut self, broken: Broken) -> (Vec<Diagnostic>, u64, u64) {
        if broken == Broken::Serve {
            self.errors.iter_mut().for_each(|finding| finding.severity = Severity::Warning);
            self.warnings.append(&mut self.errors);
            self.warnings_total += std::mem::take(&mut self.errors_total);
        }
        for findings in [&mut self.errors, &mut self.warnings] {
            findings.sort_by(|one, other| (one.place, &one.message).cmp(&(other.place, &other.message)));
            findings.truncate(MAX_KEPT);
        }
        let hidden = |total: u64, kept: &[Diagnostic]| total - kept.len() as u64;
        let (errors, warnings) =
            (hidden(self.errors_total, &self.errors), hidden(self.warnings_total, &self.warnings));
        self.errors.append(&mut self.warnings);
        (self.errors, errors, warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_bound_are_counted() {
        let (mut one, mut other) = (Faults::default(), Faults::default());
        let most = MAX_KEPT as u32;
        for line in 0..most - 20 {
            one.error(Place { line, ..Place::default() }, "x", "");
            other.error(Place { line: most + line, ..Place::default() }, "y", "");
        }
        other.warn(Place::default(), "odd", "");
        one.join(other);
        assert!(!one.is_clean());
        let (kept, errors, warnings) = one.into_findings(Broken::Refuse);
        assert_eq!((kept.len(), errors, warnings), (MAX_KEPT + 1, MAX_KEPT as u64 - 40, 0));
        assert_eq!(kept[0].place.line, 0);
        assert_eq!(kept[MAX_KEPT].severity, Severity::Warning);
    }

    #[test]
    fn faults_of_zones_that_are_served_broken_are_warnings() {
        let mut faults = Faults::default();
        faults.error(Place::default(), "x", "");
        let (kept, errors, warnings) = faults.into_findings(Broken::Serve);
        assert_eq!((kept[0].severity, errors, warnings), (Severity::Warning, 0, 0));
    }
}
