//! Objects that stay the text that they came as.

use netpol_policy::syntax::{Document, Node, NodeId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object as it came.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    part: Part<'a>,
    body: Option<&'a Body<'a>>,
}

/// A part of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Where the body was read at once.
    pub(super) node: Option<NodeId>,
}

/// A body that was read at once.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) text: &'a str,
    pub(super) document: Document<'a>,
}

impl<'a> Raw<'a> {
    pub(super) fn new(part: Part<'a>, body: Option<&'a Body<'a>>) -> Self {
        Self { part, body }
    }

    /// Its JSON.
    pub fn get(self) -> &'a str {
        self.part.text
    }

    /// Where it was read with the whole body: the body, and what it is there.
    pub(crate) fn read(self) -> Option<(&'a str, Node<'a>)> {
        let body = self.body?;
        Some((body.text, body.document.node(self.part.node?)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: <&RawValue>::deserialize(deserializer)?.get(), node: None })
    }
}
