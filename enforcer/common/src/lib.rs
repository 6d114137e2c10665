//! Types shared by the agent and the kernel programs.
#![no_std]
