//! Which links have which programs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, describe};
use crate::kernel::{Attached, Direction, Hook, program_for};
use crate::log;
use crate::netlink::Link;
use crate::report::LinkReport;
use crate::roles::Role;

impl Agent {
    /// Sees to it that every link has the programs that its role asks for, and no other has.
    pub(super) fn hook(&mut self, links: &[Link], roles: &[Role]) {
        let mut wanted = BTreeMap::new();
        self.report.links.clear();
        for (link, role) in links.iter().zip(roles) {
            let directions: &[Direction] = match role {
                Role::Pod { .. } => &[Direction::Egress, Direction::Ingress],
                Role::Uplink => &[Direction::Egress],
                Role::Ignored(_) => &[],
            };
            let pod = matches!(role, Role::Pod { .. });
            let mut hooks = Vec::new();
            let mut problem = None;
            for direction in directions {
                let hook = Hook { link: link.index, direction: *direction };
                let program = program_for(pod, *direction, link.ethernet);
                wanted.insert(hook, program);
                match self.hooks.attach(&mut self.loaded, hook, &link.name, program) {
                    Ok(Attached::Before) => {}
                    Ok(attached) => {
                        let how = if attached == Attached::New { "attached" } else { "replaced" };
                        log::info(
                            format!("program {how}"),
                            &[("link", &link.name), ("hook", direction), ("program", &program)],
                        );
                    }
                    Err(error) => {
                        // The link may have gone since it was listed; if not, this is told again and again.
                        log::warn(&error, &[("link", &link.name)]);
                        problem = Some(error.to_string());
                        continue;
                    }
                }
                hooks.push(direction.to_string());
            }
            self.report.links.push(LinkReport {
                index: link.index,
                name: link.name.clone(),
                role: describe::role_name(role).into(),
                hooks,
                problem,
            });
        }
        // Before the first objects are read, roles are guesses: only what belongs to no link is removed then.
        let synced = self.objects.are_known();
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let keep = |hook: Hook| wanted.contains_key(&hook) || !synced && present.contains(&hook.link);
        match self.hooks.release_others(keep) {
            Ok(released) => {
                for hook in released {
                    log::info("program removed", &[("link", &hook.link), ("hook", &hook.direction)]);
                }
            }
            Err(error) => log::error(error, &[]),
        }
    }
}
