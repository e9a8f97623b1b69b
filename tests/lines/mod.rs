//! Scanners and scales on ptys and TCP, through the real links: what is read, and what is said when nothing can be.

mod device;
mod ports;
mod scales;
mod scanners;
mod socat;
