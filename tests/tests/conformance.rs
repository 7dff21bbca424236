//! Conformance, a file for each RFC: what the document asks for, on the smallest zones that show it.
//!
//! Expectations come from the RFCs, not from the code. Each case names its rule as a sentence and its section in a
//! comment. Zones are compiled and asked without sockets; `pharos_testkit` reads the replies with a decoder of its
//! own. Where an RFC leaves a choice, the case says which one is ours.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod conformance {
    mod live;
    mod rfc1034;
    mod rfc1035;
    mod rfc2181;
    mod rfc2308;
    mod rfc3403;
    mod rfc3597;
    mod rfc4035;
    mod rfc4035_ds;
    mod rfc4343;
    mod rfc4592;
    mod rfc4892;
    mod rfc5001;
    mod rfc5155;
    mod rfc6604;
    mod rfc6672;
    mod rfc6891;
    mod rfc7766;
    mod rfc7828;
    mod rfc7873;
    mod rfc8482;
    mod rfc8914;
    mod rfc9460;
    mod rfc9471;
    mod rfc9567;
    mod rfc9619;
    mod rfc9660;
    mod signed;
}
