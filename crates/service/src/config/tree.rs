//! The merged tree of all sources, in which every key and value knows where it was written.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::validate::Step;

/// Where something was written: which source, and which bytes of it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) source: usize,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) key_at: Origin,
    pub(super) value_at: Origin,
    pub(super) value: Value<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Leaf(DeValue<'a>),
    Table(BTreeMap<String, Node<'a>>),
    Array(Vec<Node<'a>>),
}

/// Place of a node in the tree handed to serde: its number stands in for its span, so that an error leads back to it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: Vec<Step>,
    pub(super) at: Origin,
}

impl<'a> Node<'a> {
    /// A node from a parsed value of `source`.
    pub(super) fn new(key: Range<usize>, value: Spanned<DeValue<'a>>, source: usize) -> Self {
        let at = value.span();
        let value = match value.into_inner() {
            DeValue::Table(table) => Value::Table(entries(table, source)),
            DeValue::Array(array) => Value::Array(
                array
                    .into_iter()
                    .map(|item| Self::new(item.span(), item, source))
                    .collect(),
            ),
            leaf => Value::Leaf(leaf),
        };
        Self {
            key_at: Origin { source, at: key },
            value_at: Origin { source, at },
            value,
        }
    }

    /// A string that was written at `at`.
    pub(super) fn text(text: String, at: &Origin) -> Self {
        let value = Value::Leaf(DeValue::String(DeString::Owned(text)));
        Self {
            key_at: at.clone(),
            value_at: at.clone(),
            value,
        }
    }

    /// Lays `over` on top: tables merge key by key, everything else is replaced.
    pub(super) fn overlay(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Table(under), Value::Table(over)) => overlay(under, over),
            (value, replacement) => {
                *value = replacement;
                self.key_at = over.key_at;
                self.value_at = over.value_at;
            }
        }
    }

    /// The node at `path`.
    pub(super) fn get(&self, path: &[Step]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        match (&self.value, first) {
            (Value::Table(table), Step::Key(key)) => table.get(key)?.get(rest),
            (Value::Array(array), Step::Index(n)) => array.get(*n)?.get(rest),
            _ => None,
        }
    }

    /// The node at `path`, to change it.
    pub(super) fn get_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        match (&mut self.value, first) {
            (Value::Table(table), Step::Key(key)) => table.get_mut(key)?.get_mut(rest),
            (Value::Array(array), Step::Index(n)) => array.get_mut(*n)?.get_mut(rest),
            _ => None,
        }
    }

    /// Takes the node at `path` out; false when it is not there (or is the root).
    pub(super) fn remove(&mut self, path: &[Step]) -> bool {
        let Some((last, parents)) = path.split_last() else {
            return false;
        };
        match (self.get_mut(parents).map(|node| &mut node.value), last) {
            (Some(Value::Table(table)), Step::Key(key)) => table.remove(key).is_some(),
            (Some(Value::Array(array)), Step::Index(n)) if *n < array.len() => {
                array.remove(*n);
                true
            }
            _ => false,
        }
    }

    /// The tree for serde, with numbers into `places` for spans.
    pub(super) fn to_toml(&self, path: &mut Vec<Step>, places: &mut Vec<Place>) -> Spanned<DeValue<'a>> {
        let number = numbered(places, path, &self.value_at);
        let value = match &self.value {
            Value::Leaf(leaf) => leaf.clone(),
            Value::Table(table) => DeValue::Table(to_table(table, path, places)),
            Value::Array(array) => {
                let mut items = DeArray::new();
                for (n, item) in array.iter().enumerate() {
                    path.push(Step::Index(n));
                    items.push(item.to_toml(path, places));
                    path.pop();
                }
                DeValue::Array(items)
            }
        };
        Spanned::new(number, value)
    }
}

/// The entries of a parsed table of `source`.
pub(super) fn entries(table: DeTable<'_>, source: usize) -> BTreeMap<String, Node<'_>> {
    table
        .into_iter()
        .map(|(key, value)| {
            let at = key.span();
            (key.into_inner().into_owned(), Node::new(at, value, source))
        })
        .collect()
}

/// Lays the entries of `over` on `under`.
pub(super) fn overlay<'a>(under: &mut BTreeMap<String, Node<'a>>, over: BTreeMap<String, Node<'a>>) {
    for (key, node) in over {
        match under.get_mut(&key) {
            Some(known) => known.overlay(node),
            None => {
                under.insert(key, node);
            }
        }
    }
}

fn to_table<'a>(table: &BTreeMap<String, Node<'a>>, path: &mut Vec<Step>, places: &mut Vec<Place>) -> DeTable<'a> {
    let mut out = DeTable::new();
    for (key, node) in table {
        path.push(Step::Key(key.clone()));
        let number = numbered(places, path, &node.key_at);
        out.insert(
            Spanned::new(number, DeString::Owned(key.clone())),
            node.to_toml(path, places),
        );
        path.pop();
    }
    out
}

fn numbered(places: &mut Vec<Place>, path: &[Step], at: &Origin) -> Range<usize> {
    let n = places.len();
    places.push(Place {
        path: path.to_vec(),
        at: at.clone(),
    });
    n..n
}
