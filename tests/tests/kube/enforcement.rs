//! What the files say is enforced, when the API server says it.

use crate::behaviour::revocation::with_frontend;
use crate::common::{file, plain};

use super::InCluster;

pub(super) fn three_tier(test: &str) -> Option<InCluster> {
    let policy = file("three-tier", "db-test.yaml");
    let cluster =
        InCluster::new(test, plain(), &file("three-tier", "workloads.yaml"), &[("db-test.yaml", &policy)])?;
    cluster.enforced.expect(
        &["backend -> db:3306, service db:3306", "frontend -> backend:80"],
        &["frontend -> db:3306, service db:3306"],
    );
    Some(cluster)
}

#[test]
fn the_api_server_says_what_is_enforced() {
    let Some(mut cluster) = three_tier("an agent that reads the API server") else { return };
    cluster.edit(&[("db-test.yaml", &with_frontend())]);
    cluster.enforced.expect(&["frontend, backend -> db:3306, service db:3306"], &["frontend -> ping db"]);
    cluster.edit(&[]);
    cluster.enforced.expect(&["frontend, backend -> db:3306, service db:3306, ping db"], &[]);
}
