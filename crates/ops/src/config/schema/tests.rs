//! What must be true of all options.

use super::*;

const PHAROS: &str = "responder:\n  listen: [\"192.0.2.53:53\"]\n  zones:\n    directory: z\n  tcp:\n    {}\n  dnssec:\n    {}\n  cookies:\n    {}\nsidecar:\n  \
                      groups:\n  - name: main\n    prefixes: [192.0.2.0/24]\n    required: [example.com]\n  \
                      probe:\n    {}\n  anchors:\n  - prefix: 192.0.0.0/16\n";
const SITE: &str = "node: a\nsite: ams\nxdp:\n- interface: eth0\nwire:\n  interface: wire0\nneighbours:\n- address: 10.0.0.1\n  as: 64500\n  bfd:\n    {}\n  levels:\n    \
                    degraded:\n      {}\nannouncers:\n  exec:\n  - name: x\n    \
                    program: /x\n    observe:\n      program: /y\n  bird:\n    death: lease\n  lease:\n    mode: announce\n    markers:\n    - \
                    prefix: 192.0.2.0/24\n      address: 169.254.77.1/30\n";

/// Adds `key: value` to the mapping of `section` in block style, by the line that opens it.
fn with_option(text: &str, section: &str, key: &str, value: &str) -> String {
    let (opener, indent) = match section {
        "responder" => ("responder:\n", "  "),
        "sidecar" => ("sidecar:\n", "  "),
        "sidecar.anchors[]" => ("- prefix: 192.0.0.0/16\n", "    "),
        "sidecar.groups[]" => ("- name: main\n", "    "),
        "responder.tcp" | "responder.dnssec" | "responder.cookies" | "sidecar.probe" => {
            let opener = format!("  {}:\n", section.rsplit('.').next().unwrap_or_default());
            let empty = format!("{opener}    {{}}\n");
            return text.replace(&empty, &format!("{opener}    {key}: {value}\n"));
        }
        "site" => ("node: a\n", ""),
        "site.announcers" => ("announcers:\n", "  "),
        "site.announcers.bird" if key == "death" => {
            return text.replace("death: lease", &format!("death: {value}")) + " ";
        }
        "site.announcers.bird" => ("    death: lease\n", "    "),
        "site.announcers.lease" if key == "mode" => {
            return text.replace("mode: announce", &format!("mode: {value}")) + " ";
        }
        "site.announcers.lease" => ("    mode: announce\n", "    "),
        "site.announcers.lease.markers[]" => ("    - prefix: 192.0.2.0/24\n", "      "),
        "site.announcers.exec[]" => ("  - name: x\n", "    "),
        "site.announcers.exec[].observe" => ("    observe:\n", "      "),
        "site.xdp[]" => ("- interface: eth0\n", "  "),
        "site.wire" => ("  interface: wire0\n", "  "),
        "site.neighbours[].bfd" => {
            return text.replace("bfd:\n    {}\n", &format!("bfd:\n    {key}: {value}\n"));
        }
        "site.neighbours[].levels.LEVEL" => {
            return text.replace("degraded:\n      {}\n", &format!("degraded:\n      {key}: {value}\n"));
        }
        "site.neighbours[]" => ("- address: 10.0.0.1\n", "  "),
        other => panic!("no such section in this test: {other}"),
    };
    text.replace(opener, &format!("{opener}{indent}{key}: {value}\n"))
}

#[test]
fn each_documented_default_is_the_real_one() {
    let mut compared = 0;
    for option in all_options() {
        let DefaultDoc::Value(default) = option.default else { continue };
        if option.section.starts_with("site") {
            let written = with_option(SITE, option.section, &option.key(), default);
            assert_ne!(written, SITE);
            assert_eq!(yaml::parse::<SiteFile>(&written), yaml::parse::<SiteFile>(SITE), "{}", option.path());
        } else {
            let written = with_option(PHAROS, option.section, &option.key(), default);
            assert_ne!(written, PHAROS);
            let (given, implied) = (yaml::parse::<PharosFile>(&written), yaml::parse::<PharosFile>(PHAROS));
            assert!(implied.is_ok(), "{implied:?}");
            assert_eq!(given, implied, "{}", option.path());
        }
        compared += 1;
    }
    assert!(compared >= 15, "only {compared} defaults were compared");
}
