//! What the CNI plugin asks, and when it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netpol_cni::protocol::{Attachment, Call, Refusal, code};

use super::Agent;
use crate::bind::Behind;
use crate::cni::{Asked, Reply};
use crate::log;

/// A plugin that waits for its pod to be programmed.
pub(super) struct Waiting {
    attachment: Attachment,
    asked: Asked,
    told: String,
}

impl Agent {
    /// Takes a question. Those that need the kernel's state are answered by [`Self::answer_waiting`], after the next look at everything.
    pub(super) fn take_call(&mut self, asked: Asked) {
        let done = match &asked.call {
            Call::Add(attachment) => {
                let attachment = attachment.clone();
                match self.attachments.add(attachment.clone()) {
                    Ok(()) => return self.waiting.push(Waiting { attachment, asked, told: String::new() }),
                    Err(error) => Err(error),
                }
            }
            Call::Check(attachment) => {
                let answer = match self.why_not_programmed(attachment) {
                    None => Reply::Done,
                    Some(why) => {
                        let message =
                            format!("{}/{} is not enforced: {why}", attachment.namespace, attachment.name);
                        refused(code::NOT_PROGRAMMED, message)
                    }
                };
                return reply(&asked, answer);
            }
            Call::Del(id) => self.attachments.release(id).map(drop),
            Call::Gc { network, valid } => self.attachments.collect(network, valid).map(drop),
            Call::Status if !self.objects.are_known() => {
                return reply(&asked, refused(code::NOT_AVAILABLE, NO_OBJECTS.into()));
            }
            Call::Status => Ok(()),
        };
        match done {
            Ok(()) => reply(&asked, Reply::Done),
            Err(error) => {
                log::error("what the CNI plugin said can't be written down", &[("error", &error)]);
                reply(
                    &asked,
                    refused(code::IO, format!("the agent's state directory can't be written: {error}")),
                );
            }
        }
    }

    /// Answers those whose pods are programmed, and tells the others what they wait for.
    pub(super) fn answer_waiting(&mut self, bound: &BTreeMap<u32, Behind>) {
        let waiting = std::mem::take(&mut self.waiting);
        for mut one in waiting {
            let Attachment { namespace, name, .. } = &one.attachment;
            if self.attachments.get(&one.attachment.id).is_none() {
                let message = format!("another container took the place of {namespace}/{name}'s");
                reply(&one.asked, refused(code::UNKNOWN_CONTAINER, message));
                continue;
            }
            match self.why_not_ready(&one.attachment, bound) {
                None => {
                    let took = one.asked.since.elapsed().as_micros();
                    log::info(
                        "pod attached",
                        &[("pod", &format!("{namespace}/{name}")), ("microseconds", &took)],
                    );
                    reply(&one.asked, Reply::Done);
                }
                Some(why) => {
                    if one.told == why || one.asked.reply.send(Reply::Waiting(why.clone())).is_ok() {
                        one.told = why;
                        self.waiting.push(one);
                    }
                }
            }
        }
    }

    /// What a new pod still lacks; `None`: it is programmed.
    fn why_not_ready(&self, attachment: &Attachment, bound: &BTreeMap<u32, Behind>) -> Option<String> {
        if !self.objects.are_known() {
            return Some(NO_OBJECTS.into());
        }
        // Its label may isolate the pod. The API has every pod's namespace, but the two are followed one beside the other.
        let from_api = self.report.source.is_some();
        if from_api
            && !self.objects.with(|world| world.is_some_and(|world| world.knows(&attachment.namespace)))
        {
            return Some("the source of objects does not know the pod's namespace yet".into());
        }
        let Some(link) = self.attachments.get(&attachment.id).and_then(|known| known.link) else {
            return Some("no veth of this node leads to its addresses".into());
        };
        match bound.get(&link) {
            Some(Behind::Pod(_)) => {}
            Some(Behind::Unknown) => return Some("the source of objects does not know the pod yet".into()),
            Some(Behind::Disputed(_)) | None => return Some("its veth is not taken for a pod's".into()),
        }
        self.why_not_enforced(link, &attachment.addresses)
    }

    /// The same for a pod that has been there for a while, perhaps since before there was a plugin.
    fn why_not_programmed(&self, attachment: &Attachment) -> Option<String> {
        let pod = crate::cni::pod(attachment);
        match self.bound.iter().find(|(_, bound)| **bound == pod) {
            Some((link, _)) => self.why_not_enforced(*link, &attachment.addresses),
            None => Some("no veth of this node is known to be its".into()),
        }
    }

    fn why_not_enforced(&self, link: u32, addresses: &[IpAddr]) -> Option<String> {
        let report = self.report.links.iter().find(|report| report.index == link);
        match report {
            Some(report) if report.hooks.len() == HOOKS && report.problem.is_none() => {}
            Some(report) => {
                return Some(report.problem.clone().unwrap_or_else(|| "its veth has no hooks".into()));
            }
            None => return Some("its veth has no hooks".into()),
        }
        let problems = || self.report.problems.join("; ");
        match self.programmer.state().endpoints.get(&link) {
            // What did not fit is closed, which is programmed, too.
            Some(record)
                if addresses.iter().copied().collect::<BTreeSet<_>>().is_subset(&record.addresses) =>
            {
                None
            }
            Some(_) => Some(format!("not all of its addresses are in the kernel; {}", problems())),
            None => Some(format!("it is not in the kernel; {}", problems())),
        }
    }
}

/// A pod's veth has one on either side.
const HOOKS: usize = 2;

const NO_OBJECTS: &str = "the agent has read no objects since it started";

fn refused(code: u32, message: String) -> Reply {
    Reply::Refused(Refusal { code, message, details: String::new() })
}

/// A plugin that does not wait any more needs no answer.
fn reply(asked: &Asked, reply: Reply) {
    let _ = asked.reply.send(reply);
}
