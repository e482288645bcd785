//! Problems drawn for people.
