//! Lists of groups where a partition of the offsets topic can't be loaded.

use std::path::Path;
use std::time::Duration;

use super::{World, group};
use crate::env::sim_disk::{Effect, Fault, OpKind};

#[tokio::test]
async fn a_partition_that_can_not_be_loaded_is_not_read_at_every_list() {
    let mut world = World::start(1 << 30).await;
    world.commit(0..40, 0).await.unwrap();
    world.restart().await;
    // Opened, and not loaded.
    world.broker.group_host(&group()).await.unwrap();
    let is_log = |path: &Path| {
        path.to_string_lossy().contains("__consumer_offsets")
            && path.extension().is_some_and(|ending| ending == "log")
    };
    world.disk.fail(Fault::on(OpKind::Read, is_log, Effect::Io));
    let list = async |world: &World| {
        let listed = world.broker.list_groups().await.unwrap();
        (listed.groups.len(), listed.errors.len())
    };
    assert_eq!(list(&world).await, (0, 1));
    // What failed once only would be found well by whoever tried it again.
    assert_eq!(list(&world).await, (0, 1), "it is known by now");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(list(&world).await, (1, 0), "it is tried again after a while");
}
