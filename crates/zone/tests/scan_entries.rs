//! How entries of a zone file become records: directives, inheritance, grouping, escapes.

mod common;

use common::{scan_text, scan_with};
use pharos_zone::scan::Includes;
use std::io;
use std::path::Path;

/// The lines of a text that must be without fault.
fn clean(text: impl AsRef<[u8]>) -> Vec<String> {
    let (lines, report) = scan_text(text);
    assert!(report.is_clean(), "{report}");
    lines
}

#[test]
fn an_entry_inherits_owner_and_ttl() {
    assert_eq!(
        clean(
            "a 60 IN A 192.0.2.1\n  A 192.0.2.2\nb AAAA 2001:db8::1\n$TTL 5\nc A 192.0.2.3\nd 7 A 192.0.2.4\ne A 192.0.2.5\n"
        ),
        [
            "a.example.com. 60 IN A 192.0.2.1",
            "a.example.com. 60 IN A 192.0.2.2",
            "b.example.com. 60 IN AAAA 2001:db8::1",
            "c.example.com. 5 IN A 192.0.2.3",
            "d.example.com. 7 IN A 192.0.2.4",
            "e.example.com. 5 IN A 192.0.2.5",
        ]
    );
}

#[test]
fn ttl_and_class_stand_in_either_order() {
    let record = "a.example.com. 5400 IN A 192.0.2.1";
    assert_eq!(
        clean("a 1h30m IN A 192.0.2.1\na in 5400 a 192.0.2.1\na CLASS1 90M TYPE1 192.0.2.1\n"),
        [record; 3]
    );
}

#[test]
fn the_origin_completes_names_until_it_changes() {
    assert_eq!(
        clean("$TTL 1\n@ NS ns\n$ORIGIN sub\nx NS y\n$ORIGIN net.\n@ NS a.b\nz NS @\n. NS .\n"),
        [
            "example.com. 1 IN NS ns.example.com.",
            "x.sub.example.com. 1 IN NS y.sub.example.com.",
            "net. 1 IN NS a.b.net.",
            "z.net. 1 IN NS net.",
            ". 1 IN NS .",
        ]
    );
}

#[test]
fn parentheses_join_lines_and_comments_end_them() {
    let text = "; a comment\n@ 1 IN SOA ns host ( 1 ; serial\n\t\t2h 3m\n\n 4w ; \"(\n5s ) ; end\n   ; nothing\n\r\n@ ( NS\nns )\r\n";
    assert_eq!(
        clean(text),
        [
            "example.com. 1 IN SOA ns.example.com. host.example.com. 1 7200 180 2419200 5",
            "example.com. 1 IN NS ns.example.com.",
        ]
    );
}

#[test]
fn escapes_and_octets_above_127_are_kept() {
    assert_eq!(
        clean(b"$TTL 1\na\\.b\\065\\@ TXT \"q\\\"\\\\ \\200;\" x\\ y\\;z\n\xc3\xa4 TXT \xff\n\\@ TXT a\"b c\"d\n"),
        [
            "a\\.bA\\@.example.com. 1 IN TXT \"q\\\"\\\\ \\200;\" \"x y;z\"",
            "\\195\\164.example.com. 1 IN TXT \"\\255\"",
            "\\@.example.com. 1 IN TXT \"a\" \"b c\" \"d\"",
        ]
    );
}

#[test]
fn the_last_line_needs_no_end() {
    assert_eq!(clean("a 1 A 192.0.2.1"), ["a.example.com. 1 IN A 192.0.2.1"]);
    assert_eq!(clean("a 1 TXT \"x\""), ["a.example.com. 1 IN TXT \"x\""]);
    assert_eq!(clean(""), [""; 0]);
}

#[test]
fn generate_makes_a_record_for_each_step() {
    assert_eq!(
        clean("$TTL 1\n$GENERATE 1-3 h$ A 192.0.2.$\n$GENERATE 0-4/2 $ PTR h${10,4,x}.$$\\$\n"),
        [
            "h1.example.com. 1 IN A 192.0.2.1",
            "h2.example.com. 1 IN A 192.0.2.2",
            "h3.example.com. 1 IN A 192.0.2.3",
            "0.example.com. 1 IN PTR h000a.\\$\\$.example.com.",
            "2.example.com. 1 IN PTR h000c.\\$\\$.example.com.",
            "4.example.com. 1 IN PTR h000e.\\$\\$.example.com.",
        ]
    );
    assert_eq!(
        clean(
            "$GENERATE 18-18 ${0,5,n}.${0,0,N}.${-3,3,o} 9 IN MX \"${0,3} mail$\"\n$GENERATE 7-7 t 1 TXT \"a $\" b$\n"
        ),
        [
            "2.1.0.2.1.017.example.com. 9 IN MX 18 mail18.example.com.",
            "t.example.com. 1 IN TXT \"a 7\" \"b7\"",
        ]
    );
}

#[test]
fn an_included_file_leaves_origin_and_owner_as_they_were() {
    let mut read = |path: &Path| match path.to_str() {
        Some("zones/inner.zone") => Ok(b"$ORIGIN other\n@ A 192.0.2.2\n$INCLUDE sub/leaf\n$TTL 9\n".to_vec()),
        Some("zones/sub/leaf") => Ok(b"leaf A 192.0.2.3\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let text = "$TTL 1\na A 192.0.2.1\n$INCLUDE zones/inner.zone in\n A 192.0.2.4\n";
    let (lines, report) = scan_with(text.as_bytes(), Includes::Reader(&mut read));
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.files, ["test.zone", "zones/inner.zone", "zones/sub/leaf"]);
    assert_eq!(
        lines,
        [
            "a.example.com. 1 IN A 192.0.2.1",
            "other.in.example.com. 1 IN A 192.0.2.2",
            "leaf.other.in.example.com. 1 IN A 192.0.2.3",
            "a.example.com. 9 IN A 192.0.2.4",
        ]
    );
}

#[test]
fn places_count_lines_and_octets_in_their_file() {
    let origin = pharos_wire::Name::from_text("example.com").unwrap();
    let text = b"$TTL 1\n\na A 192.0.2.1\n\t(\n A 192.0.2.2 )\n";
    let source =
        pharos_zone::scan::Source { path: Path::new("x"), octets: text, includes: Includes::Refused };
    let mut places = Vec::new();
    let report = pharos_zone::scan::scan(source, origin.as_wire(), &mut |record| {
        places.push((record.place.file.0, record.place.line, record.place.column));
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!(places, [(0, 3, 1), (0, 5, 2)]);
}
