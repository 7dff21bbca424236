//! The files of `deploy/`, judged by the programs that they are for.
//!
//! The lab runs the configurations; here each file is checked alone, so that a mistake has a name. Tests that
//! need those programs are ignored by default; `tests/run` runs them.

use pharos_tests::lab::{Workspace, pharos_binary, source_root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn deploy(file: &str) -> PathBuf {
    source_root().join("deploy").join(file)
}

/// Runs a checker and gives what it says; it must succeed.
fn assert_accepted(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    let said = said.concat();
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

#[test]
#[ignore = "needs the pharos binary"]
fn pharos_accepts_the_commented_configuration() {
    let mut check = Command::new(pharos_binary());
    check.arg("check-config").arg("--config").arg(deploy("pharos.yaml"));
    let said = assert_accepted(check.arg("--site").arg(deploy("site.yaml")));
    assert!(!said.contains("warning"), "{said}");
}

#[test]
#[ignore = "needs the pharos binary"]
fn a_misspelt_key_is_named_with_its_place_and_the_right_spelling() {
    let workspace = Workspace::new("deploy");
    let text = fs::read_to_string(deploy("pharos.yaml")).unwrap();
    let line = 1 + text.lines().position(|line| line.trim_start().starts_with("hold-down:")).unwrap();
    let wrong = workspace.write("pharos.yaml", &text.replace("hold-down:", "hold-donw:"));
    let mut check = Command::new(pharos_binary());
    check.arg("check-config").arg("--config").arg(&wrong).arg("--site").arg(deploy("site.yaml"));
    let output = check.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("{}:{line}:3", wrong.display())), "{said}");
    assert!(said.contains("`hold-donw`") && said.contains("write `hold-down`"), "{said}");
}

#[test]
#[ignore = "needs systemd-analyze (Debian: systemd)"]
fn systemd_accepts_both_units() {
    let workspace = Workspace::new("deploy");
    for unit in ["pharos-responder.service", "pharos-sidecar.service"] {
        // The check looks for the programs as well, and this machine has them elsewhere.
        let text = fs::read_to_string(deploy("systemd").join(unit)).unwrap();
        let unit = workspace.write(unit, &text.replace("/usr/bin/pharos", "/bin/true"));
        let said = assert_accepted(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit));
        assert_eq!(said, "", "a unit without findings is what we want");
    }
}

#[test]
#[ignore = "needs bird (Debian: bird2)"]
fn bird_accepts_the_router_configuration() {
    let workspace = Workspace::new("deploy");
    let include = ["pharos-site.conf", "pharos.conf"]
        .map(|file| format!("include \"{}\";\n", deploy("bird").join(file).display()));
    let config = workspace.write("bird.conf", &format!("router id 10.0.0.1;\n{}", include.concat()));
    assert_accepted(Command::new("bird").args(["-p", "-c"]).arg(config));
}

#[test]
#[ignore = "needs bird (Debian: bird2)"]
fn bird_accepts_the_configurations_of_the_node() {
    let workspace = Workspace::new("deploy");
    for file in ["pharos-node.conf", "pharos-lease.conf"] {
        // The sidecar writes its file into a directory of the node's, which this machine need not have.
        let text = fs::read_to_string(deploy("bird").join(file)).unwrap();
        let text = text.replace("/var/lib/pharos", &deploy("bird").display().to_string());
        let text = format!("router id 10.0.0.2;\n{text}");
        assert_accepted(Command::new("bird").args(["-p", "-c"]).arg(workspace.write("bird.conf", &text)));
    }
}

#[test]
#[ignore = "needs the pharos binary"]
fn pharos_accepts_the_announcers_that_the_daemons_of_the_node_are_configured_for() {
    let workspace = Workspace::new("deploy");
    let text = fs::read_to_string(deploy("bird/pharos-node.conf")).unwrap();
    let begin = text.find("#     announcers:").unwrap();
    let lines = text[begin..].lines().take_while(|line| line.starts_with("#     "));
    let announcers: String = lines.map(|line| format!("{}\n", line.trim_start_matches("#     "))).collect();
    let (site, _) = fs::read_to_string(deploy("site.yaml"))
        .map(|site| site.split_once("neighbours:\n").map(|(all, _)| (all.to_owned(), ())).unwrap())
        .unwrap();
    let site = workspace.write("site.yaml", &(site + &announcers));
    let mut check = Command::new(pharos_binary());
    let said = assert_accepted(
        check.arg("check-config").arg("--config").arg(deploy("pharos.yaml")).arg("--site").arg(site),
    );
    assert!(
        said.contains("BIRD at /run/bird/bird.ctl") && said.contains("markers 169.254.77.1/30"),
        "{said}"
    );
}

/// The words of a text that begin like this: names of metrics.
fn names<'a>(text: &'a str, beginning: &'a str) -> impl Iterator<Item = &'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(move |word| word.starts_with(beginning) && *word != beginning)
}

/// Every source file below a directory, as one text.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let entry = entry.path();
        match entry.is_dir() {
            true => text += &sources(&entry),
            false => text += &fs::read_to_string(&entry).unwrap_or_default(),
        }
    }
    text
}

#[test]
fn each_figure_and_each_kind_of_alarm_that_a_rule_names_is_told_by_the_programs() {
    let rules = fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    for (beginning, of) in [("pharos_sidecar_", "sidecar"), ("pharos_responder_", "responder")] {
        let told = sources(&source_root().join("crates").join(of).join("src"));
        let missing: Vec<_> =
            names(&rules, beginning).filter(|name| !told.contains(&format!("\"{name}\""))).collect();
        assert!(missing.is_empty(), "no {of} tells of {missing:?}");
    }
    let kinds = fs::read_to_string(source_root().join("crates/policy/src/alarm.rs")).unwrap();
    let named =
        rules.split("kind").filter_map(|rest| rest.trim_start_matches(['=', '!', '~']).strip_prefix('"'));
    for kind in named.filter_map(|rest| rest.split_once('"')).flat_map(|(kinds, _)| kinds.split('|')) {
        assert!(kinds.contains(&format!("\"{kind}\"")), "there is no alarm of kind {kind}");
    }
}

#[test]
#[ignore = "needs promtool (Debian: prometheus)"]
fn prometheus_accepts_the_alert_rules_and_raises_what_they_are_for() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: there is no promtool");
        return;
    }
    assert_accepted(Command::new("promtool").args(["check", "rules"]).arg(deploy("prometheus/alerts.yml")));
    let cases = source_root().join("tests/data/alerts.yml");
    assert_accepted(Command::new("promtool").args(["test", "rules"]).arg(cases));
}

#[test]
#[ignore = "needs bgpd (Debian: frr)"]
fn frr_accepts_the_router_configuration() {
    let said = assert_accepted(Command::new("bgpd").args(["--dryrun", "-f"]).arg(deploy("frr/pharos.conf")));
    assert!(!said.contains("Unknown command"), "{said}");
    // The routes in it are staticd's; crates/sidecar/tests/lease.rs runs the whole.
    assert_accepted(Command::new("bgpd").args(["--dryrun", "-f"]).arg(deploy("frr/pharos-lease.conf")));
}
