//! How much of a log is dirty, and whether that is enough for a pass. Pure.
//!
//! The front of a log that its last passes have cleaned is clean; from the first sealed segment that is not on, it is dirty. Times
//! count from the append by the broker's clock, as those of retention do.

use crate::base::Timestamp;
use crate::config::TopicConfig;
use crate::log::segment::Footer;

/// What a pass over a log would find.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Dirtiness {
    /// Segments of the clean front.
    pub(super) clean_count: usize,
    /// Dirty ones behind it that may be cleaned.
    pub(super) dirty_count: usize,
    /// Bytes of the clean front.
    pub(super) clean_bytes: u64,
    /// Bytes of the dirty ones.
    pub(super) dirty_bytes: u64,
    /// Whether the first dirty one has waited for `max.compaction.lag.ms`.
    is_overdue: bool,
    /// Whether tombstones of the clean front may go.
    has_expired: bool,
}

impl Dirtiness {
    /// Of a log whose sealed segments, from the first one on, have these footers.
    pub(super) fn of(sealed: &[Footer], config: &TopicConfig, now_ms: Timestamp) -> Self {
        let clean_count = sealed.iter().take_while(|footer| footer.cleaned.is_some()).count();
        let (clean, rest) = sealed.split_at(clean_count);
        let age_ms = |at: Timestamp| now_ms.saturating_sub(at);
        let is_old = |footer: &&Footer| {
            config.min_compaction_lag_ms == 0 || age_ms(footer.last_append_ms) >= config.min_compaction_lag_ms
        };
        let dirty: Vec<_> = rest.iter().take_while(is_old).collect();
        let lag_ms = config.max_compaction_lag_ms;
        Self {
            clean_count,
            dirty_count: dirty.len(),
            clean_bytes: clean.iter().map(|footer| footer.log_bytes).sum(),
            dirty_bytes: dirty.iter().map(|footer| footer.log_bytes).sum(),
            is_overdue: lag_ms >= 0
                && dirty.first().is_some_and(|first| age_ms(first.first_append_ms) >= lag_ms),
            has_expired: clean.iter().any(|footer| has_expired(footer, now_ms)),
        }
    }

    /// The dirty share, in millionths.
    pub(super) fn millionths(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let share = (u128::from(self.dirty_bytes) * 1_000_000).checked_div(all);
        u32::try_from(share.unwrap_or(0)).expect("a share is at most the whole")
    }

    /// Whether a pass is due.
    pub(super) fn is_due(&self, config: &TopicConfig) -> bool {
        let is_dirty_enough = self.dirty_count > 0 && self.millionths() >= config.min_dirty_millionths;
        is_dirty_enough || self.is_overdue || self.has_expired
    }
}

/// Whether tombstones of a cleaned segment may go.
pub(super) fn has_expired(footer: &Footer, now_ms: Timestamp) -> bool {
    footer.cleaned.is_some_and(|horizon_ms| horizon_ms <= now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(log_bytes: u64, appended_ms: Timestamp, cleaned: Option<Timestamp>) -> Footer {
        Footer {
            log_bytes,
            entry_count: 2,
            crc_chain: 0,
            end_offset: 0,
            first_append_ms: appended_ms,
            last_append_ms: appended_ms,
            max_timestamp: 0,
            max_timestamp_offset: 0,
            last_epoch: 0,
            cleaned,
        }
    }

    const NEVER: Option<Timestamp> = Some(Timestamp::MAX);

    #[test]
    fn the_dirty_share_decides() {
        let config = TopicConfig::default();
        let sealed = [footer(60, 0, NEVER), footer(40, 0, None)];
        let found = Dirtiness::of(&sealed, &config, 1_000);
        assert_eq!((found.clean_count, found.dirty_count, found.millionths()), (1, 1, 400_000));
        assert!(!found.is_due(&config));
        let eager = TopicConfig { min_dirty_millionths: 400_000, ..config.clone() };
        assert!(found.is_due(&eager));
        let found = Dirtiness::of(&sealed[..1], &eager, 1_000);
        assert!(
            !found.is_due(&TopicConfig { min_dirty_millionths: 0, ..config.clone() }),
            "nothing is dirty"
        );
        assert!(!Dirtiness::of(&[], &eager, 0).is_due(&eager));
        let behind = [footer(1, 0, None), footer(1, 0, NEVER)];
        assert_eq!(
            Dirtiness::of(&behind, &config, 0).dirty_count,
            2,
            "a clean one behind a dirty one is dirty"
        );
    }

    #[test]
    fn young_records_are_safe_and_old_ones_are_overdue() {
        let config =
            TopicConfig { min_compaction_lag_ms: 100, max_compaction_lag_ms: 500, ..TopicConfig::default() };
        let sealed = [footer(900, 0, NEVER), footer(1, 1_000, None), footer(1, 1_050, None)];
        let at = |now_ms| Dirtiness::of(&sealed, &config, now_ms);
        assert_eq!([1_099, 1_100, 1_149, 1_150].map(|now_ms| at(now_ms).dirty_count), [0, 1, 1, 2]);
        assert!(!at(1_499).is_due(&config) && at(1_500).is_due(&config));
    }

    #[test]
    fn tombstones_whose_time_has_come_make_a_pass_due() {
        let config = TopicConfig::default();
        let sealed = [footer(9, 0, Some(700)), footer(9, 0, NEVER)];
        assert!(!Dirtiness::of(&sealed, &config, 699).is_due(&config));
        assert!(Dirtiness::of(&sealed, &config, 700).is_due(&config));
    }
}
