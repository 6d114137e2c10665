//! From the keys to what counts.

use std::borrow::Cow;

use netpol_lint::Settings;
use netpol_policy::model::LabelSelector;

use super::break_glass::BreakGlass;
use super::effects::{Effects, selection};
use super::namespaces::Namespaces;
use super::options::{Options, Preview};
use super::read::Invalid;

/// What counts.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the rules.
    pub settings: Settings,
    /// The way round a refusal.
    pub break_glass: BreakGlass,
    /// What is told of a change's effect.
    pub preview: Preview,
    effects: Effects,
    namespaces: Vec<(Namespaces, Layer)>,
}

/// What an entry for namespaces says; entries may come together.
#[derive(Debug, Clone)]
struct Layer(super::namespaces::NamespaceOptions);

impl Default for Config {
    fn default() -> Self {
        Self::new(Options::default()).expect("nothing is said that could be wrong")
    }
}

impl Config {
    /// Makes sense of the keys.
    ///
    /// # Errors
    /// When a selector of namespaces can't be read.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        let mut effects = Effects::default();
        effects.set(&options.effects, options.unenforceable);
        let mut namespaces = Vec::new();
        for (number, entry) in options.namespaces.into_iter().enumerate() {
            let meant = Namespaces::new(&entry)
                .map_err(|error| Invalid::new(format!("namespaces[{number}]: {error}")))?;
            namespaces.push((meant, Layer(entry)));
        }
        // A rule runs when it may do something somewhere.
        let alone = namespaces.iter().map(|(_, layer)| layer.over(&effects));
        let all: Vec<_> = std::iter::once(effects.clone()).chain(alone).collect();
        let settings = Settings {
            external_namespaces: options.external_namespaces,
            external_pods: options.external_pods,
            dual_stack: options.dual_stack,
            wide_port_range: options.wide_port_range.unwrap_or(Settings::WIDE_PORT_RANGE),
            ..selection(&all).into()
        };
        let (break_glass, preview) = (options.break_glass, options.preview);
        Ok(Self { settings, break_glass, preview, effects, namespaces })
    }

    /// What findings do in a namespace; `labels` says whether a selector matches its labels.
    pub fn effects(&self, namespace: &str, labels: impl Fn(&LabelSelector) -> bool) -> Cow<'_, Effects> {
        let mut effects = Cow::Borrowed(&self.effects);
        for (_, layer) in self.namespaces.iter().filter(|(meant, _)| meant.contain(namespace, &labels)) {
            effects = Cow::Owned(layer.over(&effects));
        }
        effects
    }
}

impl Layer {
    fn over(&self, effects: &Effects) -> Effects {
        let mut effects = effects.clone();
        effects.set(&self.0.effects, self.0.unenforceable);
        effects
    }
}
