//! The rules, one to a file.

mod blocks;
pub(crate) mod broken_yaml;
pub(crate) mod cidr_host_bits;
mod comments;
pub(crate) mod contradictory_selector;
pub(crate) mod dangling_peer;
pub(crate) mod dangling_target;
pub(crate) mod dns_one_protocol;
pub(crate) mod duplicate_key;
pub(crate) mod egress_policy_denies_ingress;
pub(crate) mod empty_egress_without_type;
pub(crate) mod empty_peer_list;
pub(crate) mod empty_rule;
pub(crate) mod implicit_policy_types;
pub(crate) mod invalid_cidr;
pub(crate) mod invalid_end_port;
pub(crate) mod invalid_enum;
pub(crate) mod invalid_name;
pub(crate) mod invalid_peer;
pub(crate) mod invalid_port;
pub(crate) mod invalid_selector;
pub(crate) mod named_port_to_ip_block;
pub(crate) mod non_string_label;
pub(crate) mod null_item;
mod place;
pub(crate) mod removed_api_version;
pub(crate) mod rules_not_in_policy_types;
mod selectors;
pub(crate) mod split_peer_selectors;
pub(crate) mod split_peers_and_ports;
#[cfg(test)]
mod testing;
pub(crate) mod unknown_field;
pub(crate) mod unused_suppression;
pub(crate) mod world_open_ingress;
pub(crate) mod wrong_direction_field;
pub(crate) mod wrong_type;
