//! A document's value, addressed by JSON pointers.

use greenroom_protocol::RawJson;
use json_patch::jsonptr::{Pointer, PointerBuf, Token};
use serde_json::Value;

use super::node::Node;

/// Why a pointer leads nowhere.
#[derive(Debug)]
pub(super) struct NoPlace(pub(super) String);

/// What an index below the length of an array means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtIndex {
    /// Inserts before the element there, as RFC 6902's `add` does.
    Insert,
    /// Replaces the element there.
    Replace,
}

/// Methods that change the tree add their cost to `work`, in units of
/// [`ORDINARY_WORK`](crate::behaviour::ORDINARY_WORK).
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
}

impl Tree {
    pub(super) fn new(root: Value) -> Self {
        Self { root: root.into() }
    }

    /// The length of the text without white space.
    pub(super) fn size(&self) -> usize {
        self.root.extent().len
    }

    /// How deep arrays and objects nest: 0 for a scalar.
    pub(super) fn depth(&self) -> usize {
        self.root.extent().depth
    }

    pub(super) fn to_text(&self) -> RawJson {
        RawJson::from_value(&self.root).expect("a JSON value has string keys and finite numbers")
    }

    pub(super) fn root_mut(&mut self) -> &mut Node {
        &mut self.root
    }

    pub(super) fn get(&self, at: &Pointer) -> Option<&Node> {
        at.tokens().try_fold(&self.root, |node, token| match node {
            Node::Object(object) => object.get(&token.decoded()),
            Node::Array(array) => array.get(element(&token, array.len())?),
            _ => None,
        })
    }

    /// Puts `node` where `at` points: an object's member is added or replaced, `-` is the end of an
    /// array, and the root is replaced. Returns the place, with `-` resolved, and what was
    /// replaced.
    pub(super) fn put(
        &mut self,
        at: &Pointer,
        node: Node,
        index: AtIndex,
        work: &mut usize,
    ) -> Result<(PointerBuf, Option<Node>), NoPlace> {
        let Some((above, last)) = at.split_back() else {
            return Ok((PointerBuf::new(), Some(std::mem::replace(&mut self.root, node))));
        };
        match self.get(above) {
            Some(Node::Object(_)) => {
                let old = self
                    .change(above, work, |above, work| {
                        above.object_mut(work)?.insert(&last.decoded(), node)
                    })
                    .flatten();
                Ok((at.to_buf(), old))
            }
            Some(Node::Array(array)) => {
                let Some(place) = place(&last, array.len()) else {
                    return Err(no_place(above, &last, array.len()));
                };
                let replaces = index == AtIndex::Replace && place < array.len();
                let old = self.change(above, work, |above, work| {
                    let array = above.array_mut(work)?;
                    if replaces {
                        return array.change(place, |slot| std::mem::replace(slot, node));
                    }
                    array.insert(place, node);
                    None
                });
                Ok((above.with_trailing_token(Token::from(place)), old.flatten()))
            }
            Some(_) => Err(NoPlace(format!(
                "there is neither an object nor an array at `{}`",
                shown(above)
            ))),
            None => Err(nothing(above)),
        }
    }

    /// Removes and returns what is at `at`. The root cannot be removed.
    pub(super) fn remove(&mut self, at: &Pointer, work: &mut usize) -> Result<Node, NoPlace> {
        let Some((above, last)) = at.split_back() else {
            return Err(NoPlace("the whole document can be replaced, not removed".into()));
        };
        match self.get(above) {
            Some(Node::Array(array)) => {
                let Some(index) = element(&last, array.len()) else {
                    return Err(no_element(above, &last, array.len()));
                };
                self.change(above, work, |above, work| above.array_mut(work)?.remove(index))
                    .flatten()
            }
            Some(Node::Object(object)) if object.get(&last.decoded()).is_some() => self
                .change(above, work, |above, work| above.object_mut(work)?.remove(&last.decoded()))
                .flatten(),
            _ => None,
        }
        .ok_or_else(|| nothing(at))
    }

    /// Replaces what is at `at`.
    pub(super) fn replace(
        &mut self,
        at: &Pointer,
        node: Node,
        work: &mut usize,
    ) -> Result<Node, NoPlace> {
        if self.get(at).is_none() {
            return Err(nothing(at));
        }
        self.change(at, work, |slot, _| std::mem::replace(slot, node)).ok_or_else(|| nothing(at))
    }

    /// The number of array elements that move when something is inserted or removed at `at`.
    pub(super) fn moving(&self, at: &Pointer) -> usize {
        match at.split_back() {
            Some((above, last)) => match self.get(above) {
                Some(Node::Array(array)) => {
                    place(&last, array.len()).map_or(0, |index| array.moving(index))
                }
                _ => 0,
            },
            None => 0,
        }
    }

    /// Applies `change` to what is at `at`, and updates the extents of everything above it.
    fn change<R>(
        &mut self,
        at: &Pointer,
        work: &mut usize,
        change: impl FnOnce(&mut Node, &mut usize) -> R,
    ) -> Option<R> {
        descend(&mut self.root, &mut at.tokens(), work, change)
    }
}

/// The stack grows with the depth of the document, which is limited.
fn descend<'t, R>(
    node: &mut Node,
    tokens: &mut impl Iterator<Item = Token<'t>>,
    work: &mut usize,
    change: impl FnOnce(&mut Node, &mut usize) -> R,
) -> Option<R> {
    let Some(token) = tokens.next() else { return Some(change(node, work)) };
    if node.is_object() {
        return node
            .object_mut(work)?
            .change(&token.decoded(), |below| descend(below, tokens, work, change))
            .flatten();
    }
    let array = node.array_mut(work)?;
    let index = element(&token, array.len())?;
    array.change(index, |below| descend(below, tokens, work, change)).flatten()
}

/// The element that a token names.
fn element(token: &Token<'_>, len: usize) -> Option<usize> {
    token.to_index().ok()?.for_len(len).ok()
}

/// The same, but the end of the array counts as a place.
fn place(token: &Token<'_>, len: usize) -> Option<usize> {
    token.to_index().ok()?.for_len_incl(len).ok()
}

fn nothing(at: &Pointer) -> NoPlace {
    NoPlace(format!("there is nothing at `{}`", shown(at)))
}

fn no_element(above: &Pointer, token: &Token<'_>, len: usize) -> NoPlace {
    let token: String = token.decoded().chars().take(40).collect();
    NoPlace(format!("the array at `{}` has {len} elements and no index `{token}`", shown(above)))
}

fn no_place(above: &Pointer, token: &Token<'_>, len: usize) -> NoPlace {
    let NoPlace(why) = no_element(above, token, len);
    NoPlace(format!("{why}, and `-` is its end"))
}

/// A pointer, shortened for a message.
pub(super) fn shown(at: &Pointer) -> String {
    const MOST: usize = 100;
    let mut text: String = at.as_str().chars().take(MOST).collect();
    if text.len() < at.len() {
        text.push('…');
    }
    text
}
