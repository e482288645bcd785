//! Problems as JSON.
