//! What a person is told for each kind of bad configuration, word for word.

use super::*;

const PHAROS: &str = include_str!("../../../../tests/data/config/pharos.yaml");
const SITE: &str = include_str!("../../../../tests/data/config/site.yaml");

fn try_load(pharos: &str, site: &str, need: Need) -> Result<Loaded, String> {
    let sources = [
        Source { path: "pharos.yaml".into(), text: pharos.to_owned() },
        Source { path: "site.yaml".into(), text: site.to_owned() },
    ];
    from_sources(&sources, PathBuf::new(), need).map_err(|error| error.to_string())
}

/// The one finding after `from` in pharos.yaml became `to`.
fn pharos_with(from: &str, to: &str) -> String {
    assert!(PHAROS.contains(from), "{from}");
    try_load(&PHAROS.replace(from, to), SITE, Need::Present).expect_err("an error")
}

/// The same for site.yaml.
fn site_with(from: &str, to: &str) -> String {
    assert!(SITE.contains(from), "{from}");
    try_load(PHAROS, &SITE.replace(from, to), Need::Present).expect_err("an error")
}

#[test]
fn a_good_configuration_loads_without_warnings() {
    let loaded = try_load(PHAROS, SITE, Need::Sidecar).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.nsid(), "a.ams");
    assert_eq!(loaded.pharos.sidecar.unwrap().hold_down.0.as_secs(), 10);
}

#[test]
fn bounds_on_tcp_connections_have_ranges() {
    let said = pharos_with("  zones:", "  tcp: {connections: 0, idle: 1ms}\n  zones:");
    assert!(said.contains("`connections` is 0") && said.contains("write 1 to 1000000"), "{said}");
    assert!(said.contains("`idle` is 1ms") && said.contains("write 100ms to 1h"), "{said}");
}

#[test]
fn interfaces_for_af_xdp_stand_in_the_sites_file_each_once() {
    let with = |text: &str| SITE.replace("router-id", &format!("xdp: {text}\nrouter-id"));
    let loaded =
        try_load(PHAROS, &with("[{interface: eth0, queues: 4}, {interface: eth1}]"), Need::Responder);
    let [first, second] = &loaded.unwrap().site.xdp[..] else { panic!("two were given") };
    assert_eq!((first.queues.to_string(), second.queues.to_string()), ("4".into(), "auto".into()));
    assert_eq!((first.ring, first.mode, first.copy), (4096, schema::XdpMode::Auto, schema::XdpCopy::Auto));
    for (wrong, words) in [
        ("[{interface: eth0}, {interface: eth0}]", "eth0 is listed twice"),
        ("[{interface: lo}]", "name the interface by which clients come"),
        ("[{interface: eth0, ring: 1000}]", "write a power of two from 64 to 65536"),
        ("[{interface: eth0, ring: 32}]", "`ring` is 32"),
        ("[{interface: eth0, queues: 0}]", "\"0\" is not a number of queues"),
        ("[{interface: a/b}]", "\"a/b\" is not the name of an interface"),
        ("[{interface: eth0, mode: generic, copy: zero-copy}]", "behind the driver every packet is copied"),
        ("[{interface: eth0, mode: fast}]", "holds `fast`, not auto or native or generic"),
        ("[{queues: 1}]", "lacks the key `interface`"),
    ] {
        let said = try_load(PHAROS, &with(wrong), Need::Responder).unwrap_err();
        assert!(said.contains(words) && said.contains("site.yaml:"), "{wrong}: {said}");
    }
}

#[test]
fn the_wire_probe_names_an_interface_and_its_siblings_are_other_nodes() {
    let with = |text: &str| SITE.replace("router-id", &format!("wire: {text}\nrouter-id"));
    let loaded = try_load(PHAROS, &with("{interface: eth0, siblings: [z]}"), Need::Responder);
    let wire = loaded.unwrap().site.wire.unwrap();
    assert_eq!((wire.interval.to_string(), wire.timeout.to_string()), ("1s".into(), "500ms".into()));
    for (wrong, words) in [
        ("{}", "lacks the key `interface`"),
        ("{interface: eth0, interval: 10ms}", "write 100ms to 1h"),
        ("{interface: eth0, timeout: 2s}", "`timeout` is 2s, the interval 1s"),
        ("{interface: eth0, siblings: [z, a]}", "`siblings` names this node, a"),
    ] {
        let said = try_load(PHAROS, &with(wrong), Need::Responder).unwrap_err();
        assert!(said.contains(words) && said.contains("site.yaml:"), "{wrong}: {said}");
    }
}

#[test]
fn checks_of_signed_zones_are_read_with_their_units() {
    let with = |dnssec: &str| PHAROS.replace("  zones:", &format!("  dnssec: {dnssec}\n  zones:"));
    let text = with("{verify: one-in 16, broken: serve, near-expiry: 3d, threads: 2}");
    let dnssec = try_load(&text, SITE, Need::Responder).unwrap().pharos.responder.unwrap().dnssec;
    assert_eq!(
        (dnssec.verify.to_string(), dnssec.near_expiry.to_string(), dnssec.threads.to_string()),
        ("one-in 16".into(), "3d".into(), "2".into())
    );
    let said = |dnssec: &str| try_load(&with(dnssec), SITE, Need::Responder).unwrap_err();
    let expected = r#"pharos.yaml:3:20: error: `responder.dnssec.verify`: "one-in 0" does not say which signatures are verified
  3 |   dnssec: {verify: one-in 0}
    |                    ^
  help: write all, none, or one in so many, like one-in 16"#;
    assert_eq!(said("{verify: one-in 0}"), expected);
    for (wrong, words) in [
        ("{verify: some}", "\"some\" does not say which"),
        ("{broken: ignore}", "holds `ignore`, not refuse or serve"),
        ("{near-expiry: 7}", "7 has no unit"),
        ("{near-expiry: 400d}", "`near-expiry` is 400d"),
        ("{threads: 0}", "\"0\" is not a number of threads"),
        ("{verfy: all}", "write `verify`? The keys here are: verify, broken, near-expiry, threads"),
    ] {
        assert!(said(wrong).contains(words), "{wrong}: {}", said(wrong));
    }
}

#[test]
fn cookies_need_one_source_of_their_secret_and_never_show_it() {
    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    let with = |text: &str| PHAROS.replace("  zones:", &format!("  {text}\n  zones:"));
    let load = |text: &str| try_load(&with(text), SITE, Need::Responder);
    let loaded = load(&format!("cookies: {{secret: \"{SECRET}\", require: always}}")).unwrap();
    let cookies = loaded.pharos.responder.clone().unwrap().cookies.unwrap();
    assert_eq!((cookies.secret.unwrap().0[0], cookies.require), (0xe5, schema::RequireCookies::Always));
    assert!(!format!("{loaded:?}").contains("e5e9"), "a secret is never printed");
    for (wrong, words) in [
        ("cookies: {}".to_owned(), "`cookies` has no secret"),
        (format!("cookies: {{secret: \"{SECRET}\", secret-file: x}}"), "both `secret` and `secret-file`"),
        (
            format!("cookies: {{previous: \"{SECRET}\", secret-file: x}}"),
            "`previous` stands beside `secret-file`",
        ),
        (format!("cookies: {{secret: {SECRET}0}}"), "`responder.cookies.secret`: this is no cookie secret"),
        (
            format!("cookies: {{secret: {SECRET}, require: ever}}"),
            "holds `ever`, not never or under-pressure or always",
        ),
        ("cookies: {secret: 012345678901234567890123456789}".to_owned(), "this is no cookie secret"),
        ("error-reporting: .".to_owned(), "`error-reporting` is the root, which stands for no agent"),
    ] {
        let said = load(&wrong).unwrap_err();
        assert!(said.contains(words) && said.contains("pharos.yaml:3:"), "{wrong}: {said}");
        assert!(!said.contains("e5e9") && !said.contains("1234567"), "{said}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let expected = r#"pharos.yaml:2:3: error: unknown key `lisen` in `responder`
  2 |   lisen: ["192.0.2.53:53", "[2001:db8:53::53]:53"]
    |   ^
  help: write `listen`? The keys here are: listen, zones, workers, run-first, udp-payload-size, any, version, tcp, dnssec, cookies, error-reporting, management, control, lock-directory"#;
    assert_eq!(pharos_with("listen:", "lisen:"), expected);
}

#[test]
fn a_key_of_the_other_file_is_sent_there() {
    let error = try_load(&format!("{PHAROS}node: a\n"), SITE, Need::Present).unwrap_err();
    assert!(error.contains("pharos.yaml:10:1: error: unknown key `node` in the file"), "{error}");
    assert!(error.ends_with("help: `node` belongs in site.yaml"), "{error}");
    let error = try_load(PHAROS, &format!("{SITE}sidecar: {{}}\n"), Need::Present).unwrap_err();
    assert!(error.ends_with("help: `sidecar` belongs in pharos.yaml"), "{error}");
}

#[test]
fn a_missing_key_is_named_with_what_to_write() {
    let error = pharos_with("      required: [example.com]\n", "");
    assert!(
        error.contains("pharos.yaml:6:7: error: `sidecar.groups[0]` lacks the key `required`"),
        "{error}"
    );
    assert!(error.ends_with("help: add `required:` with list of domain names"), "{error}");
}

#[test]
fn a_key_written_twice_is_refused() {
    let error = pharos_with("  zones: {", "  workers: 2\n  workers: 3\n  zones: {");
    assert!(error.contains("pharos.yaml:4:3: error: `workers` is written twice in `responder`"), "{error}");
}

#[test]
fn a_wrong_type_says_what_stands_there_and_what_should() {
    let error = pharos_with("fall: 2", "fall: often");
    let expected = r#"pharos.yaml:9:50: error: `sidecar.probe.fall` holds the text "often", not a whole number from 0 to 65535
  9 |   probe: {interval: 250ms, timeout: 200ms, fall: often, rise: 3}
    |                                                  ^
  help: write 1 to 1000; the default is 2"#;
    assert_eq!(error, expected);
    let error = pharos_with("fall: 2", "fall: 70000");
    assert!(error.contains("holds the number 70000, not a whole number from 0 to 65535"), "{error}");
    let error = pharos_with("[example.com]", "example.com");
    assert!(
        error.contains("`sidecar.groups[0].required` holds the text \"example.com\", not a list"),
        "{error}"
    );
    let error = pharos_with("{directory: zones}", "zones");
    assert!(error.contains("`responder.zones` holds the text \"zones\", not a mapping of keys"), "{error}");
    let error = site_with("[ipv4, ipv6]", "[ipv5]");
    assert!(error.contains("`neighbours[0].families[0]` holds `ipv5`, not ipv4 or ipv6"), "{error}");
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    let error = site_with("hold-time: 9s", "hold-time: 9");
    let expected = r#"site.yaml:12:16: error: `neighbours[0].hold-time`: 9 has no unit
  12 |     hold-time: 9
     |                ^
  help: write a whole number and a unit: 250ms, 10s, 2m, 1h or 7d"#;
    assert_eq!(error, expected);
}

#[test]
fn host_bits_in_a_prefix_are_refused() {
    let error = pharos_with("192.0.2.0/24", "192.0.2.53/24");
    let expected = r#"pharos.yaml:7:18: error: `sidecar.groups[0].prefixes[0]`: 192.0.2.53/24 has bits set beyond its length of 24
  7 |       prefixes: ["192.0.2.53/24", "2001:db8:53::/48"]
    |                  ^
  help: write 192.0.2.0/24, or a longer prefix"#;
    assert_eq!(error, expected);
}

#[test]
fn text_that_is_not_yaml_is_shown_where_it_breaks() {
    let error = pharos_with("  zones: {directory: zones}", "  zones: {directory: zones");
    assert!(error.starts_with("pharos.yaml:4:"), "{error}");
    assert!(error.contains("this is not YAML"), "{error}");
    let error = try_load("# nothing\n", SITE, Need::Present).unwrap_err();
    assert!(error.starts_with("pharos.yaml: error: holds no configuration"), "{error}");
}

#[test]
fn a_prefix_in_two_places_is_refused() {
    let error = pharos_with("\"2001:db8:53::/48\"]", "\"2001:db8:53::/48\", 192.0.2.0/24]");
    assert!(error.contains("pharos.yaml:7:54: error: 192.0.2.0/24 is already in group `main`"), "{error}");
}

#[test]
fn a_neighbour_without_the_next_hop_of_its_family_is_refused() {
    let error = site_with("    next-hop-ipv6: \"fd00::2\"\n", "");
    let expected = r#"site.yaml:8:5: error: neighbour 10.0.0.1 takes ipv6 routes, but has no `next-hop-ipv6`
  8 |     families: [ipv4, ipv6]
    |     ^
  help: add `next-hop-ipv6:` with this node's address, or leave ipv6 out of `families:`"#;
    assert_eq!(error, expected);
    let error = site_with("next-hop-ipv4: 10.0.0.2", "next-hop-ipv4: \"fe80::2\"");
    assert!(error.contains("`next-hop-ipv4` is fe80::2, which is no ipv4 next hop"), "{error}");
    let error = site_with("next-hop-ipv6: \"fd00::2\"", "next-hop-ipv6: 10.0.0.2");
    assert!(error.contains("`next-hop-ipv6` is 10.0.0.2, which is no ipv6 next hop"), "{error}");
    let extended = SITE.replace("next-hop-ipv4: 10.0.0.2", "next-hop-ipv4: \"fd00::2\"");
    assert!(try_load(PHAROS, &extended, Need::Sidecar).is_ok(), "RFC 8950");
}

#[test]
fn what_a_neighbour_is_told_as_has_bounds_and_reasons() {
    let with = |more: &str| site_with("    hold-time: 9s\n", &format!("    hold-time: 9s\n    {more}\n"));
    let error = with("levels: {degraded: {prepend: 4}}");
    assert!(error.contains("site.yaml:13:25: error: `prepend` is 4"), "{error}");
    let error = with("levels: {degraded: {local-pref: 50}}");
    assert!(error.contains("never sent to others (RFC 4271 §5.1.5)"), "{error}");
    let error = with("levels: {degraded: {prepends: 1}}");
    assert!(error.contains("unknown key `prepends`") && error.contains("write `prepend`?"), "{error}");
    let error = with("levels: {worse: {}}");
    assert!(error.contains("unknown key `worse`") && error.contains("last-resort"), "{error}");
    let error = with("levels: {degraded: {communities: [64512]}}");
    assert!(error.contains("is not a community"), "{error}");
    let error = with("large-communities: [\"1:2\"]");
    assert!(error.contains("write three numbers"), "{error}");
    let internal = SITE.replace("as: 64500", "as: 64512");
    let more = internal.replace("hold-time: 9s", "hold-time: 9s\n    levels: {degraded: {prepend: 1}}");
    let error = try_load(PHAROS, &more, Need::Present).unwrap_err();
    assert!(error.contains("`prepend` does nothing within one AS"), "{error}");
}

#[test]
fn roles_are_between_ases_and_a_check_needs_one() {
    let with = |more: &str| site_with("    hold-time: 9s\n", &format!("    hold-time: 9s\n    {more}\n"));
    let error = with("bgp-role-check: strict");
    assert!(error.contains("there is no `bgp-role` to compare"), "{error}");
    let error = with("bgp-role: friend");
    assert!(error.contains("route-server-client"), "{error}");
    let internal = SITE.replace("as: 64500", "as: 64512").replace("hold-time: 9s", "bgp-role: peer");
    let error = try_load(PHAROS, &internal, Need::Present).unwrap_err();
    assert!(error.contains("of our own AS, and roles are between ASes"), "{error}");
}

#[test]
fn a_secret_is_a_quoted_text_that_no_finding_shows() {
    let with = |more: &str| site_with("    hold-time: 9s\n", &format!("    hold-time: 9s\n    {more}\n"));
    let error = with("md5-key: 12345");
    assert!(error.contains("md5-key") && error.contains("in quotes") && !error.contains("12345"), "{error}");
    let error = with("md5-key: \"\"");
    assert!(
        error.contains("this secret has 0 octets; write 1 to 80") || error.contains("1 to 80"),
        "{error}"
    );
    let error =
        with("{md5-key: hunter2, md5-key-file: x}".trim_matches(['{', '}']).replace(", ", "\n    ").as_str());
    assert!(error.contains("has both `md5-key` and `md5-key-file`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn bfd_has_bounds() {
    let with = |more: &str| site_with("    hold-time: 9s\n", &format!("    hold-time: 9s\n    {more}\n"));
    assert!(with("bfd: {interval: 5ms}").contains("write 10ms to 10s; the default is 300ms"));
    assert!(with("bfd: {multiplier: 1}").contains("one lost packet would be a dead path"));
    assert!(with("bfd: {before-session: maybe}").contains("optional"));
}

#[test]
fn a_required_zone_that_is_not_listed_is_refused() {
    let error = pharos_with("{directory: zones}", "{list: [{name: example.net, file: x.zone}]}");
    assert!(error.contains("zone example.com. is required, but the responder does not list it"), "{error}");
    assert!(error.starts_with("pharos.yaml:8:"), "{error}");
}

#[test]
fn zones_from_both_a_directory_and_a_list_are_refused() {
    let error = pharos_with("{directory: zones}", "{directory: zones, list: [{name: example.com, file: x}]}");
    assert!(error.contains("`zones` has both `directory` and `list`"), "{error}");
    let error = pharos_with("{directory: zones}", "{}");
    assert!(error.contains("pharos.yaml:3:3: error: `zones` names no zones"), "{error}");
}

#[test]
fn timers_and_counts_out_of_range_are_refused() {
    let error = pharos_with("fall: 2", "fall: 0");
    assert!(error.contains("pharos.yaml:9:44: error: `fall` is 0"), "{error}");
    assert!(pharos_with("rise: 3", "rise: 0").contains("`rise` is 0"));
    assert!(
        pharos_with("timeout: 200ms", "timeout: 300ms").contains("`timeout` is 300ms, the interval 250ms")
    );
    assert!(pharos_with("interval: 250ms", "interval: 1ms").contains("`interval` is 1ms"));
    let error = site_with("hold-time: 9s", "hold-time: 2s");
    assert!(error.contains("site.yaml:12:5: error: `hold-time` is 2s"), "{error}");
    assert!(error.contains("3s to 65535s"), "{error}");
    let error = pharos_with("responder:\n", "responder:\n  udp-payload-size: 100\n");
    assert!(error.contains("`udp-payload-size` is 100"), "{error}");
}

#[test]
fn a_hold_time_of_zero_is_only_a_warning() {
    let site = SITE.replace("hold-time: 9s", "hold-time: 0s");
    let loaded = try_load(PHAROS, &site, Need::Sidecar).unwrap();
    assert!(loaded.warnings[0].what.contains("`hold-time` is 0s"));
}

#[test]
fn an_address_that_nobody_probes_is_a_warning() {
    let pharos = PHAROS.replace("listen: [", "listen: [\"198.51.100.1:53\", ");
    let loaded = try_load(&pharos, SITE, Need::Sidecar).unwrap();
    let expected = r#"pharos.yaml:2:12: warning: no probe watches 198.51.100.1:53: no group has it"#;
    assert!(loaded.warnings[0].to_string().starts_with(expected), "{}", loaded.warnings[0]);
}

#[test]
fn a_family_that_nobody_probes_is_refused() {
    let error = pharos_with(", \"[2001:db8:53::53]:53\"", "");
    assert!(error.contains("no ipv6 address of group `main` can be probed"), "{error}");
}

#[test]
fn a_prefix_that_nobody_probes_beside_one_that_somebody_does_is_refused() {
    let error = pharos_with("prefixes: [", "prefixes: [\"198.51.100.0/24\", ");
    assert!(error.contains("no address inside 198.51.100.0/24 is probed"), "{error}");
}

#[test]
fn the_sidecar_needs_what_the_responder_does_not() {
    let short = "node: a\nsite: ams\n";
    assert!(try_load(PHAROS, short, Need::Responder).is_ok());
    let error = try_load(PHAROS, short, Need::Sidecar).unwrap_err();
    for key in ["router-id", "local-as"] {
        assert!(error.contains(&format!("site.yaml: error: lacks the key `{key}`")), "{error}");
    }
    assert!(error.contains("there is no neighbour"), "{error}");
}

#[test]
fn all_findings_of_a_run_are_reported() {
    let pharos = PHAROS.replace("fall: 2", "fall: 0").replace("rise: 3", "rise: 0");
    let site = SITE.replace("hold-time: 9s", "hold-time: 1s");
    let error = try_load(&pharos, &site, Need::Present).unwrap_err();
    assert_eq!(error.matches(": error: ").count(), 3, "{error}");
    let error =
        try_load(&PHAROS.replace("fall", "fal"), &SITE.replace("node:", "nod:"), Need::Present).unwrap_err();
    assert!(error.contains("`fal`") && error.contains("`nod`"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error =
        load(Path::new("/nonexistent/p.yaml"), Path::new("/nonexistent/s.yaml"), Need::Present).unwrap_err();
    assert_eq!(error.findings.len(), 2);
    let text = error.to_string();
    assert!(text.contains("/nonexistent/p.yaml: error: cannot be opened: No such file"), "{text}");
    assert!(text.contains("--config and --site"), "{text}");
}

#[test]
fn distances_count_letters() {
    assert_eq!(distance("lisen", "listen"), 1);
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("kitten", "sitting"), 3);
}

#[test]
fn an_address_for_operators_that_the_service_has_is_refused() {
    let site = SITE.replace("node: a\n", "node: a\nmanagement-dns: [\"10.0.0.2:5353\", \"192.0.2.53:53\"]\n");
    let error = try_load(PHAROS, &site, Need::Present).unwrap_err();
    assert!(error.contains("192.0.2.53:53 is listed twice, or as an address of the service"), "{error}");
    assert!(!error.contains("10.0.0.2:5353 is"), "{error}");
}

#[test]
fn a_program_that_announces_is_named_from_the_root_and_has_its_bounds() {
    let with =
        |exec: &str| SITE.replace("neighbours:", &format!("announcers: {{exec: [{exec}]}}\nneighbours:"));
    let said = |exec: &str| try_load(PHAROS, &with(exec), Need::Present).unwrap_err();
    assert!(try_load(PHAROS, &with("{name: x, program: /x}"), Need::Sidecar).is_ok());
    let expected = r#"site.yaml:5:31: error: program `route.sh` is not an absolute path
  5 | announcers: {exec: [{name: x, program: route.sh}]}
    |                               ^
  help: write the whole path; no shell and no PATH is asked for it"#;
    assert_eq!(said("{name: x, program: route.sh}"), expected);
    assert!(said("{name: x, program: /x, timeout: 2m}").contains("`timeout` is 2m"));
    assert!(said("{name: x, program: /x}, {name: x, program: /y}").contains("two programs are named `x`"));
    assert!(said("{name: x}").contains("program"));
}

#[test]
fn who_has_neither_neighbours_nor_announcers_tells_nobody() {
    let (alone, _) = SITE.split_once("neighbours:").unwrap();
    let said = try_load(PHAROS, alone, Need::Sidecar).unwrap_err();
    assert!(said.contains("there is no neighbour and no announcer"), "{said}");
    let program = format!("{alone}announcers: {{exec: [{{name: x, program: /x}}]}}\n");
    assert!(try_load(PHAROS, &program, Need::Sidecar).is_ok());
}

#[test]
fn markers_are_no_addresses_of_the_service_and_birds_routes_have_an_end() {
    const MARKERS: &str = "markers: [{prefix: 192.0.2.0/24, address: 169.254.77.1/30}, \
                           {prefix: \"2001:db8:53::/48\", address: \"fd00:77::1/126\"}]";
    let load = |announcers: &str| {
        let site = SITE.replace("neighbours:", &format!("announcers: {announcers}\nneighbours:"));
        try_load(PHAROS, &site, Need::Sidecar)
    };
    let good = format!("{{bird: {{}}, lease: {{{MARKERS}}}}}");
    assert_eq!(load(&good).unwrap().warnings, []);
    let said = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        load(&good.replace(from, to)).unwrap_err()
    };
    for (from, to, words) in [
        (
            "169.254.77.1/30",
            "192.0.2.53/30",
            "192.0.2.53 is an address of the service, which must never go away",
        ),
        ("169.254.77.1/30", "169.254.77.1/32", "169.254.77.1/32 has no room for a next hop"),
        ("169.254.77.1/30", "169.254.77.1", "\"169.254.77.1\" is no address with the length of its network"),
        ("prefix: 192.0.2.0/24", "prefix: 198.51.100.0/24", "198.51.100.0/24 is neither a group's prefix"),
        ("bird: {}, lease", "bird: {undo-timeout: 1s}, lease", "`undo-timeout` is 1s"),
        ("bird: {}, lease", "bird: {control: bird.ctl}, lease", "`control` is bird.ctl"),
        ("lease: {", "lease: {lifetime: 1s, ", "`lifetime` is 1s"),
        ("lease: {", "lease: {mode: dry-run, ", "BIRD's routes go by markers that nobody sets"),
    ] {
        assert!(said(from, to).contains(words), "{words}: {}", said(from, to));
    }
    let said = load("{bird: {}}").unwrap_err();
    assert!(said.contains("nothing would end BIRD's route of 192.0.2.0/24 when the sidecar dies"), "{said}");
    let stay = load("{bird: {death: stay}}").unwrap();
    assert!(stay.warnings[0].to_string().contains("would stay when the sidecar dies"));
    let one = load("{lease: {markers: [{prefix: 192.0.2.0/24, address: 169.254.77.1/30}]}}").unwrap_err();
    assert!(one.contains("prefix 2001:db8:53::/48 has no marker"), "{one}");
}

#[test]
fn the_marker_that_birds_route_goes_by_is_there_at_every_level() {
    let load = |rest: &str, levels: &str, more: &str| {
        let markers = format!(
            "{{prefix: 192.0.2.0/24, address: 169.254.77.1/30{levels}}}, \
             {{prefix: \"2001:db8:53::/48\", address: \"fd00:77::1/126\"}}{more}"
        );
        let announcers = format!("announcers: {{{rest}lease: {{markers: [{markers}]}}}}\nneighbours:");
        try_load(PHAROS, &SITE.replace("neighbours:", &announcers), Need::Sidecar)
    };
    const SOME: &str = ", levels: [normal, last-resort]";
    const ALL: &str = ", levels: [draining, normal, degraded, last-resort]";
    const MORE: &str = ", {prefix: 192.0.2.0/24, address: 169.254.77.5/30, levels: [degraded, draining]}";
    for more in ["", MORE] {
        let said = load("bird: {}, ", SOME, more).unwrap_err();
        let words = "error: marker 169.254.77.1 is not there at level degraded, draining, where BIRD would withdraw \
                     192.0.2.0/24, whose route goes by it";
        assert!(said.contains(words) && said.contains("help: leave `levels` out"), "{said}");
        assert!(said.starts_with("site.yaml:5:"), "{said}");
    }
    assert_eq!(
        load("bird: {}, ", ALL, MORE).unwrap().warnings,
        [],
        "others of the prefix are for other daemons"
    );
    assert!(load("bird: {}, ", ", levels: []", "").unwrap_err().contains("`levels` is empty"));
    // Whose routes depend on no marker, or on each of them, is somebody else's.
    assert!(load("bird: {death: stay}, ", SOME, "").is_ok());
    assert_eq!(load("", SOME, MORE).unwrap().warnings, []);
}

#[test]
fn an_anchor_needs_a_marker_as_any_prefix_does_and_is_named_with_its_place() {
    const MARKERS: &str = "{prefix: 192.0.2.0/24, address: 169.254.77.1/30}, \
                           {prefix: \"2001:db8:53::/48\", address: \"fd00:77::1/126\"}";
    let anchored = PHAROS.replace("sidecar:\n", "sidecar:\n  anchors: [{prefix: 192.0.0.0/16}]\n");
    let load = |announcers: &str| {
        let site = SITE.replace("neighbours:", &format!("announcers: {announcers}\nneighbours:"));
        try_load(&anchored, &site, Need::Sidecar)
    };
    let with = |rest: &str, more: &str| load(&format!("{{{rest}lease: {{markers: [{MARKERS}{more}]}}}}"));
    let anchors = ", {prefix: 192.0.0.0/16, address: 169.254.77.5/30}";
    assert_eq!(with("bird: {}, ", anchors).unwrap().warnings, []);

    let said = with("", "").unwrap_err();
    assert!(
        said.contains("anchor 192.0.0.0/16 has no marker, so that no daemon would announce it"),
        "{said}"
    );
    assert!(said.starts_with("site.yaml:5:22: error: ") && said.contains("help: add one with"), "{said}");

    let said = with("bird: {death: lease}, ", "").unwrap_err();
    assert!(said.contains("nothing would end BIRD's route of 192.0.0.0/16 when the sidecar dies"), "{said}");
    assert!(
        said.contains("site.yaml:5:21: error: nothing") && said.contains("help: give it a marker"),
        "{said}"
    );
    assert!(load("{bird: {death: stay}}").unwrap().warnings[0].to_string().contains("would stay"));
}
