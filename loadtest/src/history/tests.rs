//! Histories that must pass and histories that must not: written out one by one in `table`, and
//! made by chance in `properties`.

pub mod model;
mod properties;
mod table;
