//! Programs at the hooks of links.

use std::collections::BTreeMap;
use std::io;

use aya::programs::links::{FdLink, LinkError, LinkOrder, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier};
use aya::util::KernelVersion;
use netpol_enforcer_common::programs;
use thiserror::Error;

use super::clsact::{self, attach_type};
use super::hook::{Direction, Hook};
use super::load::{LoadError, Loaded};
use super::pins::{LAYOUT, Pins, PinsError};
use super::raw;

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By TCX links, which Linux has since 6.6.
    Tcx,
    /// By filters on the `clsact` queueing discipline.
    Clsact,
}

impl Manner {
    /// The best that this kernel has.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        let old = |version: KernelVersion| version.code() < KernelVersion::new(6, 6, 0).code();
        if KernelVersion::current().is_ok_and(old) { Self::Clsact } else { Self::Tcx }
    }
}

impl std::fmt::Display for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcx => "TCX links",
            Self::Clsact => "clsact filters",
        })
    }
}

/// The hooks that have a program of this run.
pub struct Hooks {
    pins: Pins,
    manner: Manner,
    attached: BTreeMap<Hook, &'static str>,
    verify: bool,
}

/// How a hook got its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// It was there already.
    Before,
    /// An earlier run's program was replaced, without a moment in between.
    Replaced,
    /// The hook is new.
    New,
}

/// Why a hook has no program.
#[derive(Debug, Error)]
pub enum HookError {
    /// The kernel refused to attach.
    #[error("attaching the program {program} at {hook} of {name}: {}{}", reasons(.source), hint(.source))]
    Attach {
        /// The program.
        program: &'static str,
        /// Where.
        hook: Hook,
        /// The interface's name.
        name: String,
        /// What went wrong.
        source: Box<ProgramError>,
    },
    /// The link could not be pinned, so it would not outlive the agent.
    #[error("pinning the link of {hook} of {name}: {message}")]
    Pin {
        /// Where.
        hook: Hook,
        /// The interface's name.
        name: String,
        /// What went wrong.
        message: String,
    },
    /// A pinned file could not be handled.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The program is not there.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Hooks {
    /// Starts with no hook known; links that are pinned are adopted when they are wanted, or removed by [`Self::release_others`].
    #[must_use]
    pub fn new(pins: Pins, manner: Manner) -> Self {
        Self { pins, manner, attached: BTreeMap::new(), verify: false }
    }

    /// The hooks that have a program, of this run or an earlier one.
    ///
    /// # Errors
    /// When the pins can't be listed.
    pub fn pinned(&self) -> Result<Vec<Hook>, HookError> {
        Ok(self.pins.hooks()?)
    }

    /// How programs are attached.
    #[must_use]
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Whether hooks that were attached before are looked at again: someone may have detached them.
    pub fn verify(&mut self, verify: bool) {
        self.verify = verify;
    }

    /// Sees to it that a hook runs a program.
    ///
    /// # Errors
    /// When the kernel refuses. An interface that has gone meanwhile is such a case.
    pub fn attach(
        &mut self,
        loaded: &mut Loaded,
        hook: Hook,
        name: &str,
        program: &'static str,
    ) -> Result<Attached, HookError> {
        let before = self.attached.get(&hook) == Some(&program);
        if before && !self.verify {
            return Ok(Attached::Before);
        }
        let classifier = loaded.program(program)?;
        let outcome = match self.manner {
            Manner::Tcx if before && runs_at(classifier, hook) => Attached::Before,
            Manner::Tcx => self.attach_by_link(classifier, hook, name, program)?,
            Manner::Clsact => self.attach_by_filter(classifier, hook, name, program)?,
        };
        self.attached.insert(hook, program);
        // Looking whether the filter is still there is as much work as putting the program there once more.
        Ok(if before && outcome == Attached::Replaced { Attached::Before } else { outcome })
    }

    fn attach_by_link(
        &self,
        classifier: &mut SchedClassifier,
        hook: Hook,
        name: &str,
        program: &'static str,
    ) -> Result<Attached, HookError> {
        let outcome = match self.pinned_link(hook)? {
            Some(link) => match classifier.attach_to_link(link) {
                Ok(id) => {
                    // Only our handle goes; the pin keeps the link.
                    drop(classifier.take_link(id));
                    if runs_at(classifier, hook) {
                        Attached::Replaced
                    } else {
                        self.pins.remove_link(hook)?;
                        self.attach_new(classifier, hook, name, program)?
                    }
                }
                // The interface of this index that the link belonged to is gone, and another one has the index now.
                Err(_) => {
                    self.pins.remove_link(hook)?;
                    self.attach_new(classifier, hook, name, program)?
                }
            },
            None => self.attach_new(classifier, hook, name, program)?,
        };
        // What an earlier run attached in the other manner goes last: so there is always one.
        self.pins.remove_filter(hook)?;
        Ok(outcome)
    }

    fn attach_by_filter(
        &self,
        classifier: &mut SchedClassifier,
        hook: Hook,
        name: &str,
        program: &'static str,
    ) -> Result<Attached, HookError> {
        let refused =
            |source| HookError::Attach { program, hook, name: name.into(), source: Box::new(source) };
        // Noted first: what is noted and not there does no harm.
        self.pins.note_filter(hook)?;
        let outcome = clsact::attach(classifier, hook, name, LAYOUT).map_err(refused)?;
        self.pins.remove_link(hook)?;
        Ok(outcome)
    }

    /// Removes the programs from all hooks but those to keep; hooks of interfaces that are gone are among them.
    ///
    /// # Errors
    /// When a pinned link can't be removed.
    pub fn release_others(&mut self, keep: impl Fn(Hook) -> bool) -> Result<Vec<Hook>, HookError> {
        let others: Vec<Hook> = self.pins.hooks()?.into_iter().filter(|hook| !keep(*hook)).collect();
        for hook in &others {
            self.pins.remove_link(*hook)?;
            self.pins.remove_filter(*hook)?;
        }
        self.attached.retain(|hook, _| keep(*hook));
        Ok(others)
    }

    fn attach_new(
        &self,
        classifier: &mut SchedClassifier,
        hook: Hook,
        name: &str,
        program: &'static str,
    ) -> Result<Attached, HookError> {
        let refused =
            |source| HookError::Attach { program, hook, name: name.into(), source: Box::new(source) };
        let pin = |message: String| HookError::Pin { hook, name: name.into(), message };
        // First: another program must not take a packet away before it was judged.
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = classifier.attach_with_options(name, attach_type(hook), options).map_err(refused)?;
        let link = classifier.take_link(id).map_err(refused)?;
        let link: FdLink = link.try_into().map_err(|error: LinkError| pin(error.to_string()))?;
        link.pin(self.pins.link(hook)).map_err(|error| pin(error.to_string()))?;
        Ok(Attached::New)
    }

    fn pinned_link(&self, hook: Hook) -> Result<Option<SchedClassifierLink>, HookError> {
        match PinnedLink::from_pin(self.pins.link(hook)) {
            Ok(link) => match SchedClassifierLink::try_from(FdLink::from(link)) {
                Ok(link) => Ok(Some(link)),
                Err(_) => {
                    self.pins.remove_link(hook)?;
                    Ok(None)
                }
            },
            Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(_) => {
                self.pins.remove_link(hook)?;
                Ok(None)
            }
        }
    }
}

/// The program for a hook, by what the link is to the agent.
#[must_use]
pub fn program_for(pod: bool, direction: Direction, ethernet: bool) -> &'static str {
    match (pod, direction, ethernet) {
        (true, Direction::Ingress, _) => programs::POD_INGRESS,
        (true, Direction::Egress, _) => programs::POD_EGRESS,
        (false, _, true) => programs::UPLINK_EGRESS,
        (false, _, false) => programs::UPLINK_EGRESS_L3,
    }
}

/// Whether the kernel runs the program there: someone may have detached it. Where it won't say, the program is not taken for gone: to
/// attach it anew would leave the hook without one for a moment.
fn runs_at(classifier: &SchedClassifier, hook: Hook) -> bool {
    match (classifier.info().map(|info| info.id()), raw::programs_at(hook)) {
        (Ok(ours), Ok(there)) => there.contains(&ours),
        (_, Err(error)) => error.raw_os_error() != Some(libc::ENODEV),
        (Err(_), Ok(_)) => true,
    }
}

/// An error with all that lies behind it: the first alone only says which call failed.
fn reasons(error: &ProgramError) -> String {
    let mut text = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(reason) = behind {
        text = format!("{text}: {reason}");
        behind = reason.source();
    }
    text
}

fn hint(error: &ProgramError) -> &'static str {
    match error {
        ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::EINVAL) => {
            "; TCX links need Linux 6.6 or newer, --attach=clsact works with older ones"
        }
        ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::EPERM) => {
            "; run as root or with the capabilities BPF and NET_ADMIN"
        }
        _ => "",
    }
}
