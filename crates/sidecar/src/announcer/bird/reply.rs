//! What BIRD says on its control socket, cut into replies. Pure, and bounded against whatever listens there.
//!
//! ```text
//! 0001 BIRD 2.0.12 ready.                              a reply of one line: code, space, text
//! 0002-Reading configuration from /etc/bird/bird.conf  a line of a longer reply: code, hyphen, text
//!  pharos_192_0_2_0_24 Static master4 up ...           one more of the same code: a space
//! 0003 Reconfigured                                    its end
//! +something                                           asynchronous: no part of any reply
//! ```
//!
//! A line that is none of these, a line or a reply beyond its bound, and a line of a reply that no code has begun end the
//! connection: what follows could be taken for the answer to another command.

use std::fmt;

/// A line is at most a path and a complaint about it, or a route's attributes.
const LONGEST_LINE: usize = 8 * 1024;
/// A reply to the commands that we send has a few lines for each prefix.
const MOST_OCTETS: usize = 1024 * 1024;

/// One whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The code of its last line, which says how the command ended.
    pub(super) code: Code,
    /// Each line with its code, in order.
    pub(super) lines: Vec<(Code, String)>,
}

/// The four digits of a line. Below 1000 a command succeeded, from 1000 a table is shown, from 8000 something could not
/// be done, from 9000 the command was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code(pub(super) u16);

impl Code {
    pub(super) const READY: Self = Self(1);
    pub(super) const RECONFIGURED: Self = Self(3);
    pub(super) const IN_PROGRESS: Self = Self(4);
    pub(super) const QUEUED: Self = Self(5);
    pub(super) const ALREADY_DISABLED: Self = Self(8);
    pub(super) const DISABLED: Self = Self(9);
    pub(super) const ALREADY_ENABLED: Self = Self(10);
    pub(super) const ENABLED: Self = Self(11);
    pub(super) const CONFIRMED: Self = Self(18);
    pub(super) const CHECKED: Self = Self(20);
    pub(super) const PROTOCOL: Self = Self(1002);
    pub(super) const ROUTE: Self = Self(1007);
    pub(super) const ATTRIBUTES: Self = Self(1012);
    pub(super) const SYNTAX: Self = Self(9001);

    /// Whether it says that something was refused.
    pub(super) const fn is_refusal(self) -> bool {
        self.0 >= 8000
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl Reply {
    /// The texts of all lines with this code.
    pub(super) fn texts(&self, code: Code) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(move |(of, _)| *of == code).map(|(_, text)| text.as_str())
    }

    /// Whether some line has this code.
    pub(super) fn has(&self, code: Code) -> bool {
        self.lines.iter().any(|(of, _)| *of == code)
    }
}

impl fmt::Display for Reply {
    /// Its last line, as BIRD said it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.last().map_or("", |(_, text)| text))
    }
}

/// Collects octets until replies are whole.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    lines: Vec<(Code, String)>,
    octets: usize,
}

impl Parser {
    /// Takes octets as they come; gives every reply that they complete, or why this is not BIRD.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        for &octet in octets {
            if octet == b'\n' {
                let line = std::mem::take(&mut self.line);
                replies.extend(self.take_line(&String::from_utf8_lossy(&line))?);
                continue;
            }
            self.line.push(octet);
            self.octets += 1;
            if self.line.len() > LONGEST_LINE {
                return Err(format!("a line of more than {LONGEST_LINE} octets"));
            }
            if self.octets > MOST_OCTETS {
                return Err(format!("a reply of more than {MOST_OCTETS} octets"));
            }
        }
        Ok(replies)
    }

    fn take_line(&mut self, line: &str) -> Result<Option<Reply>, String> {
        // Every line counts, so that empty ones without end are bounded too.
        self.octets += 1;
        let line = line.trim_end_matches('\r');
        if line.starts_with('+') {
            return Ok(None);
        }
        if let Some(text) = line.strip_prefix(' ') {
            let Some(&(code, _)) = self.lines.last() else { return Err(nonsense(line)) };
            self.lines.push((code, clean(text)));
            return Ok(None);
        }
        let digits = line.get(..4).filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()));
        let code = digits.and_then(|digits| digits.parse().ok()).map(Code);
        let (Some(code), Some(rest)) = (code, line.get(4..)) else { return Err(nonsense(line)) };
        let mut rest = rest.chars();
        match rest.next() {
            Some('-') => {
                self.lines.push((code, clean(rest.as_str())));
                Ok(None)
            }
            Some(' ') | None => {
                self.lines.push((code, clean(rest.as_str())));
                self.octets = 0;
                Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }))
            }
            Some(_) => Err(nonsense(line)),
        }
    }
}

/// Tabs tell attributes from routes; other control characters have no business in a log.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

fn nonsense(line: &str) -> String {
    let shown: String = line.chars().take(60).collect();
    format!("{shown:?}, which is no reply of BIRD's")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(octets: &str) -> Result<Vec<Reply>, String> {
        Parser::default().feed(octets.as_bytes())
    }

    #[test]
    fn lines_of_one_reply_belong_together_whatever_pieces_they_come_in() {
        let said = "0001 BIRD 2.0.12 ready.\n0002-Reading configuration from /x\n0022-Undo scheduled in 5 s\n\
                    0003 Reconfigured\n2002-Name Proto\n1002-a Static master4 up \n b Static master4 down \n0000 \n";
        let whole = replies(said).unwrap();
        let codes: Vec<_> = whole.iter().map(|reply| reply.code).collect();
        assert_eq!(codes, [Code::READY, Code::RECONFIGURED, Code(0)]);
        assert!(whole[1].has(Code(22)) && !whole[1].code.is_refusal());
        let protocols: Vec<_> = whole[2].texts(Code::PROTOCOL).collect();
        assert_eq!(protocols, ["a Static master4 up ", "b Static master4 down "]);
        let mut parser = Parser::default();
        let pieces: Vec<_> =
            said.as_bytes().iter().flat_map(|octet| parser.feed(&[*octet]).unwrap()).collect();
        assert_eq!(pieces, whole);
    }

    #[test]
    fn a_refusal_is_told_as_bird_said_it() {
        let whole = replies("0002-Reading configuration from /b\n8002 /p.conf:25:1 syntax error\n").unwrap();
        assert!(whole[0].code.is_refusal());
        assert_eq!(whole[0].to_string(), "8002 /p.conf:25:1 syntax error");
    }

    #[test]
    fn what_comes_asynchronously_is_part_of_no_reply() {
        let whole = replies("0002-a\n+message\n0003 b\n").unwrap();
        assert_eq!((whole.len(), whole[0].lines.len()), (1, 2));
    }

    #[test]
    fn whatever_is_not_bird_is_refused() {
        for wrong in [
            "HTTP/1.1 400 Bad Request\n",
            " text without a code\n",
            "00a1 x\n",
            "0001:x\n",
            "\n",
            "12\n",
            "é\n",
        ] {
            assert!(replies(wrong).unwrap_err().ends_with("which is no reply of BIRD's"), "{wrong}");
        }
    }

    #[test]
    fn lines_and_replies_have_bounds() {
        let long = "x".repeat(LONGEST_LINE + 1);
        assert!(replies(&long).unwrap_err().starts_with("a line of more than"));
        let endless = format!("0002-{}\n", "x".repeat(1000)).repeat(2000);
        assert!(replies(&endless).unwrap_err().starts_with("a reply of more than"));
        let empty = format!("0002-x\n{}", " \n".repeat(MOST_OCTETS));
        assert!(replies(&empty).unwrap_err().starts_with("a reply of more than"));
        let asynchronous = "+\n".repeat(MOST_OCTETS + 1);
        assert!(replies(&asynchronous).is_err(), "they are no way around the bound");
    }

    #[test]
    fn control_characters_reach_no_log() {
        let whole = replies("8002 \u{1b}[31mred\n").unwrap();
        assert_eq!(whole[0].to_string(), "8002  [31mred");
    }
}
