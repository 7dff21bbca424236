//! Checks of `announcers` in site.yaml.

use super::{Checker, In};
use crate::config::schema::{ExecSection, SiteFile};
use crate::config::values::Period;
use crate::yaml::Step::{self, Item, Key};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

impl Checker<'_> {
    pub(super) fn announcers(&mut self, site: &SiteFile) {
        let Some(announcers) = &site.announcers else { return };
        let mut names = HashSet::new();
        for (index, exec) in announcers.exec.iter().enumerate() {
            let at = |key| [Key("announcers"), Key("exec"), Item(index), Key(key)];
            if !names.insert(&exec.name) {
                let what = format!("two programs are named `{}`", exec.name);
                self.error(In::Site, &at("name"), what, "give each its own name");
            }
            self.exec(exec, at);
        }
    }

    fn exec<'a>(&mut self, exec: &ExecSection, at: impl Fn(&'a str) -> [Step<'a>; 4]) {
        self.program(&at("program"), &exec.program);
        self.short(&at("timeout"), "timeout", exec.timeout);
        self.short(&at("retry"), "retry", exec.retry);
        let Some(observe) = &exec.observe else { return };
        let within = |key| [at("observe").as_slice(), &[Key(key)]].concat();
        self.program(&within("program"), &observe.program);
        self.short(&within("interval"), "interval", observe.interval);
    }

    fn program(&mut self, path: &[Step<'_>], program: &Path) {
        if !program.is_absolute() {
            let what = format!("program `{}` is not an absolute path", program.display());
            self.error(In::Site, path, what, "write the whole path; no shell and no PATH is asked for it");
        }
    }

    /// The bound of whatever routes may have to wait for.
    fn short(&mut self, path: &[Step<'_>], key: &str, time: Period) {
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time.0) {
            self.error(In::Site, path, format!("`{key}` is {time}"), "write 100ms to 1m");
        }
    }
}
