//! Entity ids.

use greenroom_protocol::EntityId;
use proptest::prelude::*;

use crate::calls::entity;

proptest! {
    #[test]
    fn an_id_is_its_text(id in entity()) {
        let again = EntityId::parse(id.as_str());
        prop_assert_eq!(again.as_ref(), Ok(&id));
        prop_assert_eq!(format!("{}:{}", id.kind(), id.id()), id.as_str());
        prop_assert_eq!(id.to_string(), id.as_str());
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<EntityId>(&json).unwrap(), id);
    }

    /// Whatever is accepted keeps its text, and its parts keep to the grammar.
    #[test]
    fn nothing_else_is_one(text in "[a-zA-Z0-9_:. é-]{0,40}") {
        if let Ok(id) = EntityId::parse(&text) {
            prop_assert_eq!(id.as_str(), text.as_str());
            prop_assert!(id.kind().starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(!id.id().is_empty() && id.id().is_ascii() && !id.id().contains(' '));
        } else {
            let well_formed = text.split_once(':').is_some_and(|(kind, id)| {
                kind.len() <= 32
                    && kind.starts_with(|c: char| c.is_ascii_lowercase())
                    && kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
                    && !id.is_empty()
                    && id.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
            });
            prop_assert!(!well_formed, "`{}` was refused", text);
        }
    }
}
