//! Text becomes a tree: `guard` admits it, `parse` reads it, `recover` words what could not be read.

pub mod ast;
