//! What a person reads when a zone file is wrong: each kind of error with its whole message.
//!
//! The messages stand in `errors.golden`; set `PHAROS_BLESS=1` to write them anew, and review the difference.

mod common;

use common::{scan_text, scan_with};
use pharos_zone::scan::{Includes, MAX_GENERATED, MAX_KEPT, MAX_SHOWN};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// A line or some, each faulty in its own way. The golden file shows them with what is said about them.
const FAULTS: &[&str] = &[
    // Entries.
    " A 192.0.2.1",
    "www",
    "www 3600 IN",
    "www 3600 AA 192.0.2.1",
    "a A 192.0.2.1\n www AAAA 2001:db8::1",
    "www 192.0.2.1",
    "www IN IN A 192.0.2.1",
    "www 60 IN 60 A 192.0.2.1",
    "www CH A 192.0.2.1",
    "www 3000000000 A 192.0.2.1",
    "www 5x A 192.0.2.1",
    "www \"A\" 192.0.2.1",
    "www ANY \\# 0",
    "\"www\" A 192.0.2.1",
    "a..b A 192.0.2.1",
    ".a A 192.0.2.1",
    "a123456789012345678901234567890123456789012345678901234567890123 A 192.0.2.1",
    "a\\256b A 192.0.2.1",
    "a\\25 A 192.0.2.1",
    "www A 192.0.2.1 192.0.2.2",
    "www A 192.0.2.1 \\",
    "( www ) A 192.0.2.1",
    // Grouping.
    "@ SOA ns host ( 1 2 3 4 5\nwww A 192.0.2.1",
    "www TXT ( a\nb TXT ( c )",
    "www TXT ( a",
    "www TXT a )",
    "www TXT \"a\nb TXT c",
    // Directives.
    "$ORIGIN",
    "$ORIGIN a b",
    "$TTL soon",
    "$INCLUDE",
    "$INCLUDE other.zone",
    "$FOO",
    "$GENERATE 5-1 a A 192.0.2.$",
    "$GENERATE 1-5 a",
    "$GENERATE 0-70000 a$ A 192.0.2.1",
    "$GENERATE 250-260 a$ A 192.0.2.$",
    "$GENERATE 1-5 a${x} A 192.0.2.$",
    "$GENERATE 1-3 a$ MX 10",
    "$GENERATE 1-3 a$ 60 TXT ( x$\n \"a b$\" ) y$ \\",
    "$GENERATE 62-65 ${0,$} A 192.0.2.$",
    "$GENERATE 1-3 a$ 3000000000 A 192.0.2.$",
    // Fields.
    "www A",
    "www A 192.0.2.256",
    "www A 2001:db8::1",
    "www AAAA 192.0.2.1",
    "www AAAA 2001:db8::1::",
    "www MX mail",
    "www MX 70000 mail",
    "www MX 10",
    "www NS \"ns\"",
    "@ SOA ns host 1 2 3 4",
    "@ SOA ns host 1 2 3 4 5h5",
    "www CAA 0 iss-ue \"x\"",
    "www TLSA 3 1 1 abc",
    "www TLSA 3 1 1 xy",
    "www DNSKEY 257 3 13 AQI",
    "www DNSKEY 257 3 13 AQ*D",
    "www DS 1 13 2 0011",
    "www KEY 256 3 8",
    "www RRSIG A 8 2 60 20301301000000 20300101000000 1 @ AQID",
    "www NSEC a FOO",
    "www NSEC3 1 0 0 - 2T7W",
    "www LOC 91 N 0 E 0m",
    "www LOC 52 22 23.000 4 53 32.000 E 0m",
    "www APL 1:192.0.2.0/33",
    "www EUI48 00-00-5e-00-53",
    "www NID 10 1:2:3",
    "www IPSECKEY 10 1 2 gw.example. AQID",
    "www TYPE65280 foo",
    "www TYPE65280",
    "www TYPE65280 \\#",
    "www TYPE65280 \\# 1",
    "www TYPE65280 \\# x",
    "www TYPE65280 \\# 3 0102",
    "www A \\# 3 010203",
    "www HTTPS 1 . alpn=h2 alpn=h3",
    "www HTTPS 1 . foo=bar",
    "www HTTPS 1 . port",
    "www HTTPS 1 . port=",
    "www HTTPS 1 . no-default-alpn=x alpn=h2",
    "www HTTPS 1 . no-default-alpn",
    "www HTTPS 1 . mandatory=port alpn=h2",
    "www HTTPS 1 . ipv4hint=192.0.2.1,2",
    "www HTTPS 1 . \"alpn=h2\"",
    "www HTTPS 1 . dohpath=/x",
    // Only warnings.
    "www NS ns.example.com",
    "www.example.com A 192.0.2.1",
    "www HTTPS 0 svc alpn=h2",
];

#[test]
fn every_kind_of_error_says_where_what_and_what_to_do() {
    let mut found = String::new();
    for fault in FAULTS {
        let (_, report) = scan_text(format!("$TTL 60\n{fault}\n"));
        assert!(report.errors_total + report.warnings_total > 0, "{fault} is taken for right");
        let _ = writeln!(found, "{report}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors.golden");
    if std::env::var_os("PHAROS_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (found, golden) in found.split("\n\n").zip(golden.split("\n\n")) {
        assert_eq!(found, golden, "review it, then run this test with PHAROS_BLESS=1");
    }
    assert_eq!(found, golden);
}

/// The lines on which errors were found.
fn error_lines(text: &str) -> Vec<u32> {
    let (_, report) = scan_text(text);
    report.errors.iter().map(|error| error.place.line).collect()
}

#[test]
fn all_errors_of_a_file_are_found_in_one_run() {
    let text = "$TTL 60\na A 1\nb A 192.0.2.1\nc MX x y\n d\ne TXT ( a\n  \"b ) ; \"\nf A 2\n";
    assert_eq!(error_lines(text), [2, 4, 5, 6, 8]);
}

#[test]
fn a_forgotten_parenthesis_costs_one_record_only() {
    let text = "$TTL 60\n@ SOA ns host ( 1 2 3 4 5\nwww A 192.0.2.1\nmail A 192.0.2.2\nx MX ( 10 mail )\n";
    let (lines, report) = scan_text(text);
    assert_eq!(report.errors_total, 1, "{report}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn an_error_within_closed_parentheses_costs_one_record_only() {
    let text = "$TTL 60\na DNSKEY ( 257 3 13\nAQ*D\nAQID\n) ; end\nb A 192.0.2.1\n";
    let (lines, report) = scan_text(text);
    assert_eq!(report.errors_total, 1, "{report}");
    assert_eq!(lines, ["b.example.com. 60 IN A 192.0.2.1"]);
}

#[test]
fn records_below_a_refused_owner_are_passed_over_in_silence() {
    let (lines, report) = scan_text("$TTL 60\na A 192.0.2.1\nb..c A 192.0.2.2\n A 192.0.2.3\n A x\n");
    assert_eq!(lines, ["a.example.com. 60 IN A 192.0.2.1"]);
    assert_eq!(report.errors.iter().map(|error| error.place.line).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn a_record_without_any_ttl_is_refused() {
    let (lines, report) = scan_text("a A 192.0.2.1\n");
    assert_eq!(lines, [""; 0]);
    assert_eq!(
        report.to_string(),
        "test.zone:1:1: error: the record has no TTL, and none was stated before it\n 1 | a A 192.0.2.1\n   | ^\n \
         help: put $TTL and seconds, as $TTL 3600, at the top of the file (RFC 2308 §4)\n"
    );
}

#[test]
fn a_zone_without_any_ttl_takes_the_minimum_of_its_soa_and_a_warning_says_so() {
    let (lines, report) = scan_text("@ SOA ns host 1 2 3 4 5\na 7 A 192.0.2.1\nb A 192.0.2.2\n");
    assert_eq!(lines.last().map(String::as_str), Some("b.example.com. 5 IN A 192.0.2.2"));
    assert_eq!(
        report.to_string(),
        "test.zone:1:1: warning: no TTL is stated; the SOA's minimum, 5, is taken for every record without one\n \
         1 | @ SOA ns host 1 2 3 4 5\n   | ^\n \
         help: put $TTL 5 at the top of the file: servers differ in what they take (RFC 2308 §4)\n"
    );
}

#[test]
fn a_ttl_of_32_bits_counts_as_zero() {
    let (lines, report) = scan_text("a 2147483648 A 192.0.2.1\n$TTL 4294967295\nb A 192.0.2.2\n");
    assert_eq!(lines, ["a.example.com. 0 IN A 192.0.2.1", "b.example.com. 0 IN A 192.0.2.2"]);
    assert_eq!((report.errors_total, report.warnings_total), (0, 2));
    assert_eq!(scan_text("a 4294967296 A 192.0.2.1\n").1.errors_total, 1);
}

#[test]
fn errors_are_kept_by_the_thousands_shown_by_the_hundred_and_counted_beyond() {
    let (_, report) = scan_text("a\n".repeat(MAX_KEPT + 23));
    assert_eq!((report.errors.len(), report.errors_total), (MAX_KEPT, MAX_KEPT as u64 + 23));
    let (short, whole) = (report.to_string(), report.whole().to_string());
    assert_eq!(short.matches(": error: ").count(), MAX_SHOWN);
    assert!(short.ends_with(&format!("\n{} more errors are not shown\n", MAX_KEPT + 23 - MAX_SHOWN)));
    assert_eq!(whole.matches(": error: ").count(), MAX_KEPT);
    assert!(whole.ends_with("\n23 more errors are not shown\n"));
}

/// Places and messages of all errors.
fn errors(text: &str) -> Vec<String> {
    let (_, report) = scan_text(text);
    let said = |error: &pharos_zone::diagnostic::Diagnostic| {
        format!("{}:{} {}", error.place.line, error.place.column, error.message)
    };
    report.errors.iter().map(said).collect()
}

#[test]
fn a_parenthesis_that_is_never_closed_is_an_error_of_its_own_line() {
    let never = "this parenthesis is never closed";
    for (text, place) in [
        ("@ SOA ns host ( 1 2 3 4 5\nwww A 192.0.2.1\n", "2:15"),
        ("@ SOA ns host ( 1 2 3 4 5\n NS ns\n\tNS ns2\n", "2:15"),
        ("@ SOA ns host (\n 1 2 3 4 5\n$ORIGIN sub\n", "2:15"),
        ("@ SOA ns host ( 1\n 2 3 4 5\n NS ns\nx MX ( 10 mail )\n", "2:15"),
        ("x TXT ( a\nb TXT ( c )\n", "2:7"),
        ("x TXT ( a\n TXT ( c )\n", "2:7"),
        ("x DS ( 1 13 2 00\n NS ns\n", "2:6"),
        ("x TXT ( a\nb TXT c\n", "2:7"),
    ] {
        assert_eq!(errors(&format!("$TTL 60\n{text}")), [format!("{place} {never}")], "{text}");
    }
    // What is wrong besides is told besides.
    assert_eq!(
        errors("$TTL 60\nx MX ( bad mail\ny A 192.0.2.1\n"),
        ["2:8 MX preference: `bad` is not a number", &format!("2:6 {never}")]
    );
    // Where another one opens, only that is wrong.
    assert_eq!(
        errors("$TTL 60\n@ SOA ns host ( 1\n ( 2 ) 3 4 5 )\n"),
        ["3:2 a parenthesis stands inside another one, opened at line 2"]
    );
}

#[test]
fn records_behind_a_parenthesis_that_is_never_closed_are_read_even_where_they_begin_with_a_blank() {
    let (lines, report) = scan_text("$TTL 60\n@ SOA ns host ( 1 2 3 4 5\n NS ns\n NS ns2\nns A 192.0.2.1\n");
    assert_eq!(report.errors_total, 1, "{report}");
    assert_eq!(
        lines,
        [
            "example.com. 60 IN NS ns.example.com.",
            "example.com. 60 IN NS ns2.example.com.",
            "ns.example.com. 60 IN A 192.0.2.1"
        ]
    );
}

#[test]
fn a_generate_that_is_too_large_does_not_count_against_those_behind_it() {
    let (lines, report) = scan_text(format!(
        "$TTL 60\n$GENERATE 1-65537 a$ A 192.0.2.1\n$GENERATE 1-{MAX_GENERATED} a$ A 192.0.2.1\n$GENERATE 1-3 b$ A 192.0.2.$\n"
    ));
    assert_eq!(lines.len(), 3, "{report}");
    assert_eq!(report.errors.iter().map(|error| error.place.line).collect::<Vec<_>>(), [2, 3]);
    assert!(
        report.to_string().contains("test.zone:2:11: error: this $GENERATE makes 65537 records\n"),
        "{report}"
    );
}

#[test]
fn every_step_of_a_generate_is_read_whatever_is_wrong_with_others() {
    let (lines, report) =
        scan_text("$TTL 60\n$GENERATE 254-258 a$ A 192.0.2.$\n$GENERATE 0-256/64 b$ MX $ m${-64}\n");
    assert_eq!(lines.len(), 2 + 4, "{report}");
    assert_eq!(
        report.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(),
        [
            "in the generated line `a256 A 192.0.2.256`: A address: `192.0.2.256` is not an IPv4 address (3 lines fail \
             so, the last one for 258)",
            "`m${-64}` has a bad ${...}"
        ]
    );
}

#[test]
fn errors_of_a_generate_point_at_the_word_of_the_template_that_makes_them() {
    let (_, report) = scan_text("$TTL 60\n$GENERATE 1-2 a$ A 192.0.2.${255}\n");
    assert_eq!(
        report.to_string(),
        "test.zone:2:20: error: in the generated line `a1 A 192.0.2.256`: A address: `192.0.2.256` is not an IPv4 \
         address (each of the 2 lines fails so)\n 2 | $GENERATE 1-2 a$ A 192.0.2.${255}\n   \
         |                    ^^^^^^^^^^^^^^\n help: write four numbers from 0 to 255 without leading zeros, dots between, as 192.0.2.1\n"
    );
}

#[test]
fn records_that_are_generated_stand_where_the_template_of_their_owner_does() {
    let origin = pharos_wire::Name::from_text("example.com").unwrap();
    let text = b"$TTL 1\n$GENERATE 1-2 (\n a$ A 192.0.2.$ )\n";
    let source =
        pharos_zone::scan::Source { path: Path::new("x"), octets: text, includes: Includes::Refused };
    let mut places = Vec::new();
    let report = pharos_zone::scan::scan(source, origin.as_wire(), &mut |record| {
        places.push((record.place.line, record.place.column));
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!(places, [(3, 2), (3, 2)]);
}

#[test]
fn a_byte_order_mark_is_named_as_what_it_is() {
    let (lines, report) = scan_text("\u{feff}$TTL 60\na A 192.0.2.1\n");
    assert_eq!(lines.len(), 1);
    assert!(
        report.to_string().starts_with("test.zone:1:1: error: the file begins with a byte order mark\n"),
        "{report}"
    );
}

#[test]
fn errors_in_an_included_file_name_that_file() {
    let mut read = |_: &Path| Ok(b"\nx A 1\n".to_vec());
    let (_, report) = scan_with(b"$TTL 60\n$INCLUDE sub/in.zone\n", Includes::Reader(&mut read));
    assert!(
        report.to_string().starts_with("sub/in.zone:2:5: error: A address: `1` is not an IPv4 address\n"),
        "{report}"
    );
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let mut read = |path: &Path| match path.to_str() {
        Some("b.zone") => Ok(b"$INCLUDE test.zone\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let (_, report) = scan_with(b"$TTL 60\n$INCLUDE b.zone\n$INCLUDE c.zone\n", Includes::Reader(&mut read));
    assert_eq!(
        report.to_string(),
        "b.zone:1:10: error: the file `test.zone` includes itself\n 1 | $INCLUDE test.zone\n   |          ^^^^^^^^^\n \
         help: remove this $INCLUDE; a file cannot stand inside itself, directly or through others\n\
         test.zone:3:10: error: the file `c.zone` cannot be read: entity not found\n 3 | $INCLUDE c.zone\n   |          ^^^^^^\n \
         help: the path is relative to the directory of the file that includes it\n"
    );
}

#[test]
fn a_file_that_includes_itself_by_another_spelling_is_refused() {
    for spelling in ["./b.zone", "d/../b.zone", "../x/b.zone"] {
        let mut read = |_: &Path| Ok(format!("$INCLUDE {spelling}\n").into_bytes());
        let octets = b"$INCLUDE ../x/b.zone\n";
        let (_, report) = scan_with(octets, Includes::Reader(&mut read));
        let said = report.to_string();
        assert_eq!(report.errors_total, 1, "{said}");
        assert!(
            said.contains(&format!("b.zone:1:10: error: the file `{spelling}` includes itself")),
            "{said}"
        );
    }
}

#[test]
fn files_that_include_ever_new_ones_end_at_the_bound() {
    let mut read = |path: &Path| Ok(format!("$INCLUDE d/{}\n", path.components().count()).into_bytes());
    let (_, report) = scan_with(b"$INCLUDE a\n", Includes::Reader(&mut read));
    assert_eq!(report.errors_total, 1);
    assert!(report.to_string().contains("files include one another more than 16 deep"), "{report}");
}

#[test]
fn generated_records_are_bounded_in_all() {
    let text = "$TTL 1\n".to_owned() + &"$GENERATE 1-65536 a TYPE65280 \"\\# 0\"\n".repeat(3);
    assert_eq!(scan_text(&text).1.records, 3 * 65_536);
    let text = "$TTL 1\n".to_owned() + &"$GENERATE 1-65536 a${} A x\n".repeat(17);
    let (_, report) = scan_text(&text);
    let said = "18:11: error: this $GENERATE makes 65536 records, and those before it make 1048576\n";
    assert!(report.to_string().contains(said), "{report}");
    let long = "x".repeat(200);
    let text = format!("$TTL 1\n$GENERATE 1-65536 a TXT {}\n", format!("{long} ").repeat(200));
    let (_, report) = scan_text(&text);
    let said = "2:11: error: with this $GENERATE those of the zone make more than 256 MiB of text\n";
    assert!(report.to_string().contains(said), "{report}");
}

#[test]
fn text_that_opens_what_it_never_closes_is_not_searched_again_for_each_line() {
    // If each line were searched to the end of the text, this would not end in a day.
    for line in ["a (\n", "a TXT ( \"\n", "a TXT (\nb\n", "a TXT x ) (\n"] {
        let lines = 100_000;
        let (_, report) = scan_text(line.repeat(lines));
        assert!(report.errors_total >= lines as u64, "{line}: {}", report.errors_total);
    }
}
