//! The limit on descriptors, alone in its process, since the limit is the whole process'.

use std::fs::File;
use std::process::Command;

use pharos_netio::descriptors::{self, DescriptorLimits};

#[test]
fn the_soft_limit_is_raised_to_the_hard_one_and_shortage_is_told_from_other_errors() {
    let own = std::process::id().to_string();
    let lowered = Command::new("prlimit").args(["--pid", &own, "--nofile=40:"]).status();
    assert!(lowered.is_ok_and(|status| status.success()), "prlimit (util-linux) sets the limit");
    let DescriptorLimits { soft, hard } = descriptors::limits().expect("a process knows its limits");
    assert_eq!(soft, 40);

    let before = descriptors::open().expect("Linux lists a process' descriptors");
    let mut held = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => break error,
        }
        assert!(held.len() <= 40, "more descriptors than the limit allows");
    };
    assert!(descriptors::is_shortage(&error), "{error}");

    let raised = descriptors::raise_limit().expect("raising to the hard limit takes no privilege");
    assert_eq!(raised, DescriptorLimits { soft: hard, hard });
    let counted = descriptors::open().expect("there is room for the listing again");
    assert_eq!(counted, before + held.len() as u64);
    let missing = File::open("/dev/null/none").expect_err("a device is no directory");
    assert!(!descriptors::is_shortage(&missing));
}
