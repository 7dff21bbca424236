//! The policy as a whole, in invented time.
