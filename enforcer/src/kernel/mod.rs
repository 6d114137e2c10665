//! The kernel's side: programs, maps and links, pinned on a BPF file system so that they outlive the agent.

mod batch;
mod clsact;
mod denied;
mod dump;
mod events;
mod flows;
mod grace;
mod handover;
mod hook;
mod hooks;
mod layout;
mod load;
mod maps;
mod pins;
mod raw;
mod tracer;
mod usage;

pub use denied::DeniedCounts;
pub use dump::{Dumped, Row, dump};
pub use events::{Events, LostEvents};
pub use flows::{FlowCounts, Flows};
pub use handover::Handover;
pub use hook::{Direction, Hook};
pub use hooks::{Attached, HookError, Hooks, Manner, program_for};
pub use layout::{describe_layout, forget_layouts};
pub use load::{LoadError, Loaded, MapSizes, Overlays, Settings, is_shadow, load};
pub use maps::Maps;
pub use pins::{LAYOUT, Pins, PinsError};
pub use tracer::{Link as TracedLink, Tracer};
pub use usage::{Counted, MapUsage, all_counters, counters, sizes, usage};
