//! The table of rules. A rule is part of the linter by being in it.

use crate::rule::Rule;
use crate::rules as r;

/// Every rule, by code.
pub static RULES: &[&Rule] = &[
    &r::duplicate_key::RULE,
    &r::unknown_field::RULE,
    &r::wrong_direction_field::RULE,
    &r::invalid_peer::RULE,
    &r::null_item::RULE,
    &r::invalid_selector::RULE,
    &r::invalid_port::RULE,
    &r::invalid_end_port::RULE,
    &r::invalid_enum::RULE,
    &r::invalid_cidr::RULE,
    &r::removed_api_version::RULE,
    &r::non_string_label::RULE,
    &r::broken_yaml::RULE,
    &r::wrong_type::RULE,
    &r::invalid_name::RULE,
    &r::split_peer_selectors::RULE,
    &r::split_peers_and_ports::RULE,
    &r::empty_peer_list::RULE,
    &r::empty_rule::RULE,
    &r::empty_port_list::RULE,
    &r::implicit_policy_types::RULE,
    &r::rules_not_in_policy_types::RULE,
    &r::empty_egress_without_type::RULE,
    &r::egress_policy_denies_ingress::RULE,
    &r::port_without_number::RULE,
    &r::implicit_tcp::RULE,
    &r::implicit_all_pods::RULE,
    &r::implicit_namespace::RULE,
    &r::allow_all_beside_narrow_rules::RULE,
    &r::icmp_needs_portless_rule::RULE,
    &r::reply_rule::RULE,
    &r::contradictory_selector::RULE,
    &r::negative_only_selector::RULE,
    &r::namespace_name_label::RULE,
    &r::namespace_label_on_pods::RULE,
    &r::volatile_label::RULE,
    &r::simplifiable_selector::RULE,
    &r::dns_one_protocol::RULE,
    &r::duplicate_port::RULE,
    &r::wide_port_range::RULE,
    &r::named_port_to_ip_block::RULE,
    &r::cidr_host_bits::RULE,
    &r::non_canonical_cidr::RULE,
    &r::world_open_ingress::RULE,
    &r::egress_reaches_metadata::RULE,
    &r::single_family_world::RULE,
    &r::subsumed_cidr::RULE,
    &r::egress_blocks_dns::RULE,
    &r::dns_to_anywhere::RULE,
    &r::api_server_port::RULE,
    &r::duplicate_policy::RULE,
    &r::duplicate_rule::RULE,
    &r::subsumed_rule::RULE,
    &r::subsumed_peer::RULE,
    &r::subsumed_policy::RULE,
    &r::vacuous_policy::RULE,
    &r::dangling_target::RULE,
    &r::dangling_peer::RULE,
    &r::dangling_namespace::RULE,
    &r::selects_workload_not_pod::RULE,
    &r::service_port::RULE,
    &r::unresolved_named_port::RULE,
    &r::port_not_exposed::RULE,
    &r::wrong_namespace::RULE,
    &r::targets_host_network::RULE,
    &r::peer_is_host_network::RULE,
    &r::one_sided_flow::RULE,
    &r::entry_point_blocked::RULE,
    &r::source_address_rewritten::RULE,
    &r::non_isolated_workload::RULE,
    &r::namespace_without_default_deny::RULE,
    &r::default_deny_voided::RULE,
    &r::not_enforced::RULE,
    &r::feature_not_enforced::RULE,
    &r::ip_block_in_cluster::RULE,
    &r::shadowed_by_admin_policy::RULE,
    &r::unused_suppression::RULE,
];

/// The rule of a code or name, in any case.
pub fn find_rule(code_or_name: &str) -> Option<&'static Rule> {
    let matches = |rule: &&&Rule| {
        rule.code.eq_ignore_ascii_case(code_or_name) || rule.name.eq_ignore_ascii_case(code_or_name)
    };
    RULES.iter().find(matches).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_by_code() {
        assert!(RULES.is_sorted_by(|a, b| a.code < b.code));
        assert!(RULES.iter().enumerate().all(|(number, rule)| rule.number() == Some(number)));
    }
}
