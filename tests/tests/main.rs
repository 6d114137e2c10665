//! Everything that touches the kernel: the lab itself, the scenarios, the agent's behaviour, the differential test.

mod behaviour;
mod common;
mod demo;
mod differential;
mod kernel_map;
mod kube;
mod lab;
mod lasting;
mod limits;
mod lint;
mod oncall;
mod others;
mod residue;
mod scenarios;
mod startup;
