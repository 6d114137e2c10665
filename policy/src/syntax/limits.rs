/// What reading one text may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes. Never more than 4 GiB: places are 32 bits wide.
    pub bytes: usize,
    /// The deepest nesting of mappings and sequences, aliases followed.
    pub depth: usize,
    /// The most nodes of all documents together.
    pub nodes: usize,
    /// The most nodes that aliases may repeat, each counted as often as a walk over the tree meets it.
    pub alias_nodes: u64,
}

impl Default for Limits {
    /// Enough for a dump of a large cluster; a hostile text is refused within a second or two.
    fn default() -> Self {
        Self { bytes: 64 << 20, depth: 100, nodes: 4_000_000, alias_nodes: 500_000 }
    }
}
