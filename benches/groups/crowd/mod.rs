//! Many groups on one broker, and one large group: what a member and a heartbeat cost, how long a rebalance takes, and what other
//! topics feel of it. Each table shows how its figures grow.

mod large_group;
mod many_groups;
mod member;
mod probe;
mod process;

use super::Scale;

/// Prints the tables.
pub(crate) fn measure(scale: Scale) {
    many_groups::measure(scale);
    large_group::measure(scale);
}
