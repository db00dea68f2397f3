//! A JSON value that knows the length of its text and how deep it nests.
//!
//! Both are updated when a part of it changes, so that nothing is measured twice. Arrays and
//! objects are shared: a copy costs a pointer, and one level of a shared one is cloned when it is
//! about to change.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

/// The cost of cloning an element of a shared array, in units of
/// [`ORDINARY_WORK`](crate::behaviour::ORDINARY_WORK).
const PER_ELEMENT: usize = 7;
/// The same for a member of a shared object.
const PER_MEMBER: usize = 24;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(Text),
    Array(Rc<Array>),
    Object(Rc<Object>),
}

/// A string with the length of its JSON text.
#[derive(Debug, Clone)]
pub(super) struct Text {
    text: Rc<str>,
    len: usize,
}

/// A double-ended queue, so that inserting or removing at the beginning moves nothing.
#[derive(Debug, Clone)]
pub(super) struct Array {
    measure: Measure,
    elements: VecDeque<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    measure: Measure,
    members: BTreeMap<Rc<str>, Node>,
}

/// The extent of an array or object, in the form in which it can be updated.
#[derive(Debug, Clone)]
struct Measure {
    /// The length of its text.
    len: usize,
    /// Boxed because few arrays and objects contain others.
    depths: Option<Box<Depths>>,
}

/// The number of children that nest 1 deep, 2 deep and so on; the last number is not 0.
#[derive(Debug, Clone, Default)]
struct Depths(Vec<u32>);

/// What is known about a value without visiting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The length of its text without white space.
    pub(super) len: usize,
    /// How deep arrays and objects nest: 0 for a scalar.
    pub(super) depth: usize,
}

impl Node {
    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::Null => Extent { len: 4, depth: 0 },
            Self::Bool(value) => Extent { len: if *value { 4 } else { 5 }, depth: 0 },
            Self::Number(number) => Extent { len: text_len(number), depth: 0 },
            Self::String(text) => Extent { len: text.len, depth: 0 },
            Self::Array(array) => array.measure.extent(),
            Self::Object(object) => object.measure.extent(),
        }
    }

    /// The object, cloned first if it is shared; the cost is added to `work`.
    pub(super) fn object_mut(&mut self, work: &mut usize) -> Option<&mut Object> {
        let Self::Object(object) = self else { return None };
        if Rc::strong_count(object) > 1 {
            *work += PER_MEMBER * object.members.len();
        }
        Some(Rc::make_mut(object))
    }

    /// The same for an array.
    pub(super) fn array_mut(&mut self, work: &mut usize) -> Option<&mut Array> {
        let Self::Array(array) = self else { return None };
        if Rc::strong_count(array) > 1 {
            *work += PER_ELEMENT * array.elements.len();
        }
        Some(Rc::make_mut(array))
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// RFC 6902's equality: numbers by value, objects without order. Visits no more than the
    /// smaller of the two.
    pub(super) fn same(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Number(a), Value::Number(b)) => super::number::same(a, b),
            (Self::String(a), Value::String(b)) => *a.text == **b,
            (Self::Array(a), Value::Array(b)) => {
                a.elements.len() == b.len() && a.elements.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Self::Object(a), Value::Object(b)) => {
                a.members.len() == b.len()
                    && b.iter()
                        .all(|(key, b)| a.members.get(key.as_str()).is_some_and(|a| a.same(b)))
            }
            _ => false,
        }
    }
}

impl Array {
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Node> {
        self.elements.get(index)
    }

    /// The number of elements that move when one is inserted or removed at `index`, or when that is
    /// undone.
    pub(super) fn moving(&self, index: usize) -> usize {
        index.min(self.elements.len().saturating_sub(index))
    }

    /// `index` is at most the length.
    pub(super) fn insert(&mut self, index: usize, node: Node) {
        self.measure.gain(node.extent(), self.elements.is_empty());
        self.elements.insert(index, node);
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Node> {
        let node = self.elements.remove(index)?;
        self.measure.lose(node.extent(), self.elements.is_empty());
        Some(node)
    }

    /// Applies `change` to the element at `index`.
    pub(super) fn change<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Node) -> R,
    ) -> Option<R> {
        let node = self.elements.get_mut(index)?;
        Some(self.measure.change(node, change))
    }
}

impl Object {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.members.get(key)
    }

    /// Adds a member, or replaces it and returns the old value.
    pub(super) fn insert(&mut self, key: &str, node: Node) -> Option<Node> {
        if let Some(slot) = self.members.get_mut(key) {
            return Some(self.measure.change(slot, |slot| std::mem::replace(slot, node)));
        }
        let Extent { len, depth } = node.extent();
        self.measure.gain(Extent { len: member_len(key, len), depth }, self.members.is_empty());
        self.members.insert(key.into(), node)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Node> {
        let node = self.members.remove(key)?;
        let Extent { len, depth } = node.extent();
        self.measure.lose(Extent { len: member_len(key, len), depth }, self.members.is_empty());
        Some(node)
    }

    /// Applies `change` to the member `key`.
    pub(super) fn change<R>(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut Node) -> R,
    ) -> Option<R> {
        let node = self.members.get_mut(key)?;
        Some(self.measure.change(node, change))
    }
}

impl Measure {
    fn empty() -> Self {
        Self { len: 2, depths: None }
    }

    fn extent(&self) -> Extent {
        Extent { len: self.len, depth: 1 + self.depths.as_ref().map_or(0, |depths| depths.0.len()) }
    }

    fn gain(&mut self, Extent { len, depth }: Extent, first: bool) {
        self.len += len + usize::from(!first);
        self.deepen(depth);
    }

    fn lose(&mut self, Extent { len, depth }: Extent, last: bool) {
        self.len -= len + usize::from(!last);
        self.flatten(depth);
    }

    fn change<R>(&mut self, node: &mut Node, change: impl FnOnce(&mut Node) -> R) -> R {
        let before = node.extent();
        let done = change(node);
        let after = node.extent();
        self.len = self.len - before.len + after.len;
        if after.depth != before.depth {
            self.deepen(after.depth);
            self.flatten(before.depth);
        }
        done
    }

    /// Counts a new child that nests `depth` deep.
    fn deepen(&mut self, depth: usize) {
        let Some(place) = depth.checked_sub(1) else { return };
        let Depths(depths) = &mut **self.depths.get_or_insert_default();
        if depths.len() <= place {
            depths.resize(place + 1, 0);
        }
        depths[place] += 1;
    }

    /// Counts a removed child.
    fn flatten(&mut self, depth: usize) {
        let (Some(place), Some(Depths(depths))) =
            (depth.checked_sub(1), self.depths.as_deref_mut())
        else {
            return;
        };
        depths[place] -= 1;
        while depths.last() == Some(&0) {
            depths.pop();
        }
        if depths.is_empty() {
            self.depths = None;
        }
    }
}

impl From<Value> for Node {
    /// Measures the value. The stack grows with the depth, which the caller has limited.
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::String(Text { len: text_len(&text), text: text.into() }),
            Value::Array(values) => {
                let mut array = Array {
                    measure: Measure::empty(),
                    elements: VecDeque::with_capacity(values.len()),
                };
                for value in values {
                    array.insert(array.len(), value.into());
                }
                Self::Array(Rc::new(array))
            }
            Value::Object(values) => {
                let mut object = Object { measure: Measure::empty(), members: BTreeMap::new() };
                for (key, value) in values {
                    object.insert(&key, value.into());
                }
                Self::Object(Rc::new(object))
            }
        }
    }
}

impl From<Number> for Node {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(Text { text, .. }) => serializer.serialize_str(text),
            Self::Array(array) => serializer.collect_seq(&array.elements),
            Self::Object(object) => {
                serializer.collect_map(object.members.iter().map(|(key, value)| (&**key, value)))
            }
        }
    }
}

/// The length of a member's text: the key, a colon and the value.
fn member_len(key: &str, value: usize) -> usize {
    text_len(key) + 1 + value
}

/// The length of the JSON text of a scalar.
fn text_len<T: Serialize + ?Sized>(value: &T) -> usize {
    struct Count(usize);

    impl std::io::Write for Count {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0 += text.len();
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .expect("strings and finite numbers are JSON, and counting does not fail");
    count.0
}
