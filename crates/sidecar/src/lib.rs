//! Probes, announcers and control: the keeper of the route.
#![forbid(unsafe_code)]
