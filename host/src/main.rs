//! The program: parse, call, print, exit code.

fn main() {}
