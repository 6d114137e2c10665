//! Hooks on kernels without TCX links: filters on the `clsact` queueing discipline.
//!
//! The kernel holds a program by its filter, so there is nothing to pin; a symbolic link in the directory of pins remembers which hooks have a
//! filter of ours. A filter is found again by its place, and its program replaced without a moment in between. The
//! queueing discipline may be another program's, and others' filters may hang on it: it stays when the filter goes.

use std::ffi::CStr;
use std::io;

use aya::programs::links::Link as _;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

use super::hook::{Direction, Hook};
use super::hooks::Attached;

/// First of all filters: another one must not take a packet away before it was judged.
const PRIORITY: u16 = 1;
/// Ours among the filters of that priority: `np` in ASCII, and the version of the layout, so that two can hang side by side while one
/// takes over from the other.
fn handle(layout: u32) -> TcHandle {
    TcHandle::new(0x6e70, layout as u16)
}

/// Puts a program into the hook's filter, which is made if there is none.
pub(super) fn attach(
    classifier: &mut SchedClassifier,
    hook: Hook,
    name: &str,
    layout: u32,
) -> Result<Attached, ProgramError> {
    let (id, attached) = match classifier.attach_to_link(filter(hook, name, layout)?) {
        Ok(id) => (id, Attached::Replaced),
        Err(_) => {
            // If it is there already, or can't be made, the next step tells.
            let _ = qdisc_add_clsact(name);
            let options = NlOptions { priority: PRIORITY, handle: handle(layout), classid: None };
            let options = TcAttachOptions::Netlink(options);
            (classifier.attach_with_options(name, attach_type(hook), options)?, Attached::New)
        }
    };
    // Dropping it would detach the program.
    std::mem::forget(classifier.take_link(id)?);
    Ok(attached)
}

/// Removes the hook's filter, if there is one.
pub(super) fn detach(hook: Hook, layout: u32) -> io::Result<()> {
    // Without the link there is no filter either.
    let Some(name) = name_of(hook.link) else { return Ok(()) };
    let Ok(link) = filter(hook, &name, layout) else { return Ok(()) };
    match link.detach() {
        Ok(()) => Ok(()),
        // The kernel names a missing filter, or a missing queueing discipline, in several ways; what counts is that it is gone.
        Err(_) if name_of(hook.link).is_none() => Ok(()),
        Err(ProgramError::NetlinkError(error)) if error.raw_os_error().is_some_and(is_absence) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn is_absence(error: i32) -> bool {
    matches!(error, libc::ENOENT | libc::EINVAL | libc::ENODEV)
}

fn filter(hook: Hook, name: &str, layout: u32) -> Result<SchedClassifierLink, ProgramError> {
    SchedClassifierLink::attached(name, attach_type(hook), PRIORITY, handle(layout), None)
        .map_err(ProgramError::IOError)
}

/// A hook in aya's terms.
pub(super) fn attach_type(hook: Hook) -> TcAttachType {
    match hook.direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

#[allow(unsafe_code)]
fn name_of(link: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer is as long as the longest name with its terminating zero.
    let found = unsafe { libc::if_indextoname(link, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the kernel's answer ends with a zero within the buffer.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    name.to_str().ok().map(str::to_owned)
}
