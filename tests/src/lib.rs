//! Scenarios and harness: network namespaces, real connections, differential tests.
