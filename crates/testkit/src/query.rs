//! Queries as octets, well-formed ones and odd ones.

use std::fmt;

use pharos_answer::Transport;
use pharos_wire::name::Text;
use pharos_wire::{Class, Opcode, Rtype};

use crate::dice::Dice;
use crate::served::name;

/// A query in the making.
#[derive(Clone, Debug)]
pub struct Ask {
    qname: Vec<u8>,
    qtype: Rtype,
    qclass: Class,
    id: u16,
    flags: u16,
    transport: Transport,
    edns: Option<Edns>,
    /// Sections behind the question: how many records, and their octets.
    extra: [(u16, Vec<u8>); 3],
}

#[derive(Clone, Debug)]
struct Edns {
    payload: u16,
    version: u8,
    flags: u16,
    options: Vec<u8>,
}

impl Ask {
    /// A query in class IN over UDP, without EDNS and without RD.
    ///
    /// # Panics
    /// When `qname` is not a name.
    pub fn new(qname: &str, qtype: Rtype) -> Self {
        Self::of_wire(name(qname).as_wire(), qtype)
    }

    /// The same for a name in wire form, which may be wrong on purpose.
    pub fn of_wire(qname: &[u8], qtype: Rtype) -> Self {
        Self {
            qname: qname.to_vec(),
            qtype,
            qclass: Class::IN,
            id: 0xbeef,
            flags: 0,
            transport: Transport::Udp,
            edns: None,
            extra: Default::default(),
        }
    }

    /// Over TCP.
    #[must_use]
    pub fn tcp(self) -> Self {
        Self { transport: Transport::Tcp, ..self }
    }

    /// In another class.
    #[must_use]
    pub fn class(self, qclass: Class) -> Self {
        Self { qclass, ..self }
    }

    /// With another opcode.
    #[must_use]
    pub fn opcode(self, opcode: Opcode) -> Self {
        Self { flags: self.flags & !0x7800 | u16::from(opcode.0 & 0xf) << 11, ..self }
    }

    /// With these flag bits set as well.
    #[must_use]
    pub fn flags(self, flags: u16) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// With EDNS version 0 and this size in octets.
    #[must_use]
    pub fn edns(self, payload: u16) -> Self {
        Self { edns: Some(Edns { payload, version: 0, flags: 0, options: Vec::new() }), ..self }
    }

    /// With the DO bit, in EDNS of 1232 octets unless there is EDNS already.
    #[must_use]
    pub fn dnssec(self) -> Self {
        self.with_edns(|edns| edns.flags |= 0x8000)
    }

    /// With other EDNS flags.
    #[must_use]
    pub fn edns_flags(self, flags: u16) -> Self {
        self.with_edns(|edns| edns.flags |= flags)
    }

    /// With another EDNS version.
    #[must_use]
    pub fn version(self, version: u8) -> Self {
        self.with_edns(|edns| edns.version = version)
    }

    /// With one more EDNS option.
    #[must_use]
    pub fn option(self, code: u16, data: &[u8]) -> Self {
        self.with_edns(|edns| {
            edns.options.extend(code.to_be_bytes());
            edns.options.extend((data.len() as u16).to_be_bytes());
            edns.options.extend(data);
        })
    }

    /// With octets at the end of the EDNS options, whatever they are.
    #[must_use]
    pub fn option_octets(self, octets: &[u8]) -> Self {
        self.with_edns(|edns| edns.options.extend(octets))
    }

    /// Asking for the server's identity (RFC 5001).
    #[must_use]
    pub fn nsid(self) -> Self {
        self.option(3, &[])
    }

    /// With one more record, as octets, in section 0 (answer), 1 (authority) or 2 (additional, before OPT).
    #[must_use]
    pub fn record(mut self, section: usize, octets: &[u8]) -> Self {
        self.extra[section].0 += 1;
        self.extra[section].1.extend(octets);
        self
    }

    fn with_edns(mut self, change: impl FnOnce(&mut Edns)) -> Self {
        change(self.edns.get_or_insert(Edns { payload: 1232, version: 0, flags: 0, options: Vec::new() }));
        self
    }

    /// How it travels.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The type asked for.
    pub fn qtype(&self) -> Rtype {
        self.qtype
    }

    /// The name asked for, in wire form.
    pub fn qname(&self) -> &[u8] {
        &self.qname
    }

    /// Whether the DO bit is set.
    pub fn wants_dnssec(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.flags & 0x8000 != 0)
    }

    /// Octets that a reply over UDP may have, as far as the client is concerned (RFC 6891 §6.2.3).
    pub fn payload(&self) -> usize {
        self.edns.as_ref().map_or(512, |edns| usize::from(edns.payload).max(512))
    }

    /// The message.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        let [answer, authority, additional] = &self.extra;
        let additional_count = additional.0 + u16::from(self.edns.is_some());
        for word in [self.id, self.flags, 1, answer.0, authority.0, additional_count] {
            octets.extend(word.to_be_bytes());
        }
        octets.extend(&self.qname);
        octets.extend(self.qtype.0.to_be_bytes());
        octets.extend(self.qclass.0.to_be_bytes());
        octets.extend(answer.1.iter().chain(&authority.1).chain(&additional.1));
        if let Some(edns) = &self.edns {
            octets.extend([0, 0, 41]);
            octets.extend(edns.payload.to_be_bytes());
            octets.extend([0, edns.version]);
            octets.extend(edns.flags.to_be_bytes());
            octets.extend((edns.options.len() as u16).to_be_bytes());
            octets.extend(&edns.options);
        }
        octets
    }
}

/// What is asked and how, for messages of failed tests.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { qtype, qclass, transport, edns, .. } = self;
        write!(f, "{} {} {qtype} {transport:?} {edns:?}", Text(&self.qname), qclass.0)
    }
}

/// Damages a message: some octets changed, cut off, doubled or put in, as strangers and broken links do.
pub fn mutate(message: &mut Vec<u8>, dice: &mut Dice<'_>) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(message.len() + 1);
        let end = message.len();
        match dice.below(7) {
            0 => message.truncate(at),
            1 => message.insert(at, dice.octet()),
            2 => message.extend_from_within(at.min(end)..),
            3 if at < end => drop(message.remove(at)),
            // Lengths and counts near their bounds find more than others do.
            4 if at < end => {
                message[at] = dice.pick::<u8>(&[&0, &1, &2, &0x3f, &0x40, &0x80, &0xc0, &0xff]).to_owned();
            }
            5 if at < end => message[at] ^= 1 << dice.below(8),
            _ if at < end => message[at] = dice.octet(),
            _ => {}
        }
    }
    // As long as the responder's buffers for queries.
    message.truncate(4096);
}
