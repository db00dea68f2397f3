//! Who may do what: permissions, and the patterns that grant them.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use greenroom_protocol::EntityId;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

pub use pattern::BadPattern;
use pattern::Pattern;

mod pattern;
#[cfg(test)]
mod tests;

/// Most patterns in one set of capabilities.
pub const MAX_PATTERNS: usize = 256;
/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 200;

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u8);

/// A word that names no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no permission; there are `read`, `send`, `signal`, `presence` and `moderate`")]
pub struct UnknownPermission(pub String);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Subscribe, read, history, list presence.
    pub const READ: Self = Self(1);
    /// Signals to other subscribers.
    pub const SIGNAL: Self = Self(1 << 1);
    /// Entering the presence.
    pub const PRESENCE: Self = Self(1 << 2);
    /// Ops; includes `SIGNAL` and `PRESENCE`.
    pub const SEND: Self = Self(1 << 3 | Self::SIGNAL.0 | Self::PRESENCE.0);
    /// Acting on what others wrote.
    pub const MODERATE: Self = Self(1 << 4);
    /// Everything.
    pub const ALL: Self = Self(Self::READ.0 | Self::SEND.0 | Self::MODERATE.0);

    const NAMES: [(&'static str, Self); 5] = [
        ("read", Self::READ),
        ("send", Self::SEND),
        ("signal", Self::SIGNAL),
        ("presence", Self::PRESENCE),
        ("moderate", Self::MODERATE),
    ];

    /// The permission with this name.
    ///
    /// # Errors
    /// The name, where there is no such permission.
    pub fn named(name: &str) -> Result<Self, UnknownPermission> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, permission)| *permission).ok_or_else(|| UnknownPermission(shortened(name)))
    }

    /// All permissions of a list of names.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse<S: AsRef<str>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, UnknownPermission> {
        names.into_iter().try_fold(Self::NONE, |all, name| Ok(all | Self::named(name.as_ref())?))
    }

    /// Whether all of `other` is granted.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What either grants.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is granted.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of all that is granted.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(_, permission)| self.contains(*permission))
            .map(|(name, _)| name)
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The fewest names that grant all of it: those that another one includes are left out.
impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut named = Self::NONE;
        to.collect_seq(Self::NAMES.into_iter().filter_map(|(name, permission)| {
            let adds = self.contains(permission) && !named.contains(permission);
            adds.then(|| {
                named |= permission;
                name
            })
        }))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Permissions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of permissions such as [\"read\", \"send\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Permissions, A::Error> {
                let mut all = Permissions::NONE;
                while let Some(name) = names.next_element::<String>()? {
                    all |= Permissions::named(&name).map_err(A::Error::custom)?;
                }
                Ok(all)
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

/// What a token grants: patterns over entity ids, each with permissions. The default grants
/// nothing.
///
/// A pattern is an entity id, a prefix of entity ids with a `*` behind it, or `*`. All that match
/// add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    everywhere: Permissions,
    /// Sorted by pattern, which are distinct.
    exact: Box<[(Box<str>, Permissions)]>,
    /// Sorted by prefix, which are distinct and not empty.
    prefixes: Box<[(Box<str>, Permissions)]>,
    /// The lengths that occur in `prefixes`, ascending: a lookup is one binary search for each.
    lengths: Box<[u8]>,
}

/// Why a map of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCapabilities {
    /// There are too many.
    #[error("there are more than {MAX_PATTERNS} capability patterns")]
    TooMany,
    /// One of them has no meaning.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

impl Capabilities {
    /// Collects grants; those with the same pattern add up.
    ///
    /// # Errors
    /// The first pattern that has no meaning, or that there are too many.
    pub fn new<S: AsRef<str>>(
        grants: impl IntoIterator<Item = (S, Permissions)>,
    ) -> Result<Self, BadCapabilities> {
        let mut everywhere = Permissions::NONE;
        let mut exact = Vec::new();
        let mut prefixes = Vec::new();
        for (index, (pattern, permissions)) in grants.into_iter().enumerate() {
            if index == MAX_PATTERNS {
                return Err(BadCapabilities::TooMany);
            }
            match Pattern::parse(pattern.as_ref())? {
                Pattern::Everything => everywhere |= permissions,
                Pattern::Exact(id) => exact.push((Box::<str>::from(id), permissions)),
                Pattern::Prefix(prefix) => prefixes.push((Box::<str>::from(prefix), permissions)),
            }
        }
        let exact = sorted(exact);
        let prefixes = sorted(prefixes);
        let mut lengths: Vec<u8> = prefixes.iter().map(|(prefix, _)| prefix.len() as u8).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Ok(Self { everywhere, exact, prefixes, lengths: lengths.into() })
    }

    /// What is granted on `entity`.
    pub fn permissions(&self, entity: &EntityId) -> Permissions {
        let id = entity.as_str();
        let mut all = self.everywhere | granted(&self.exact, id);
        for &length in &self.lengths {
            // An entity id is ASCII, so that every index is a character's boundary.
            let Some(prefix) = id.get(..usize::from(length)) else { break };
            all |= granted(&self.prefixes, prefix);
        }
        all
    }

    /// Whether nothing is granted anywhere.
    pub fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.exact.is_empty() && self.prefixes.is_empty()
    }
}

fn sorted(mut grants: Vec<(Box<str>, Permissions)>) -> Box<[(Box<str>, Permissions)]> {
    grants.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    grants.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 |= later.1;
        }
        same
    });
    grants.into()
}

fn granted(sorted: &[(Box<str>, Permissions)], key: &str) -> Permissions {
    let found = sorted.binary_search_by(|(known, _)| known.as_ref().cmp(key));
    found.map_or(Permissions::NONE, |at| sorted[at].1)
}

/// What a foreign string contributes to a message of ours.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Grants;

        impl<'de> Visitor<'de> for Grants {
            type Value = Capabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a map of patterns to permissions such as {\"room:*\": [\"read\", \"send\"]}",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Capabilities, A::Error> {
                let mut grants = Vec::new();
                while let Some(grant) = map.next_entry::<String, Permissions>()? {
                    if grants.len() == MAX_PATTERNS {
                        return Err(A::Error::custom(BadCapabilities::TooMany));
                    }
                    grants.push(grant);
                }
                Capabilities::new(grants).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(Grants)
    }
}
