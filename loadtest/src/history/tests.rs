//! Histories that must pass and histories that must not: written out one by one in `table`, and
//! made by chance in `properties`.

pub mod model;
mod mutate;
mod properties;
mod table;
