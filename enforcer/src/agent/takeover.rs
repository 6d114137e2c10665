//! The end of taking over from an agent with another layout: see [`Handover`].

use std::collections::BTreeSet;

use super::Agent;
use crate::kernel::{Direction, Handover};
use crate::log;

impl Agent {
    /// The same agent, which takes over from another.
    #[must_use]
    pub fn taking_over(mut self, handover: Option<Handover>) -> Self {
        self.handover = handover;
        self
    }

    /// The links that another's hooks say are pods'.
    pub(super) fn handed_over_pod_links(&self) -> BTreeSet<u32> {
        // Only pods' links have a program on ingress.
        let hooks = self.handover.as_ref().and_then(|handover| handover.hooks().ok()).unwrap_or_default();
        hooks.into_iter().filter(|hook| hook.direction == Direction::Ingress).map(|hook| hook.link).collect()
    }

    /// Ends the take-over as soon as our programs can stand for the others: everything programmed, and each of their hooks one of ours.
    pub(super) fn complete_handover(&mut self) {
        if self.handover.is_none() || self.programmed.is_none() || !self.objects.are_known() {
            return;
        }
        self.settle();
        let Some(handover) = &self.handover else { return };
        let theirs = match handover.hooks() {
            Ok(hooks) => hooks,
            Err(error) => return log::error(error, &[]),
        };
        let lacking = self.report.links.iter().filter(|link| link.problem.is_some());
        if lacking.into_iter().any(|link| theirs.iter().any(|hook| hook.link == link.index)) {
            return log::warn(
                "the former version goes on enforcing until all of its hooks can be replaced",
                &[],
            );
        }
        let mut copied = 0;
        if self.options.settings.shadow {
            match handover.copy_flows(&mut self.flows) {
                Ok(count) => copied = count,
                // Connections of protocols that tell an opening from a reply go on without.
                Err(error) => {
                    log::error("flows of the former version can't be carried over", &[("error", &error)]);
                }
            }
            let mut settings = self.options.settings;
            settings.shadow = false;
            if let Err(error) = self.loaded.configure(settings) {
                return log::error(error, &[]);
            }
            self.options.settings = settings;
        }
        match handover.complete() {
            Ok((hooks, maps)) => {
                log::info(
                    "took over from another version",
                    &[("hooks", &hooks), ("maps", &maps), ("flows", &copied)],
                );
                self.handover = None;
            }
            Err(error) => log::error(error, &[]),
        }
    }
}
