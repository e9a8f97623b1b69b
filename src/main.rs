//! The `millgate` command.
fn main() {}
