//! Query octets, image and context in; reply octets and a verdict out.
#![forbid(unsafe_code)]
