//! The machine-readable documents, generated from the types: `docs/openrpc.json` and
//! `docs/schema.json`.

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

mod catalogue;
mod json_schema;
mod openrpc;

pub use json_schema::json_schema;
pub use openrpc::openrpc;

/// Adds the schemas that `generator` collected to `place`, by name.
fn definitions(mut generator: SchemaGenerator, place: &mut Map<String, Value>) {
    place.extend(generator.take_definitions(true));
}
