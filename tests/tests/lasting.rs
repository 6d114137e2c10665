//! What lasts: traffic goes on, packet by packet, while the agent is killed, restarted, upgraded and downgraded.

mod briefs;
mod revocation;
mod traffic;
mod upgrade;
