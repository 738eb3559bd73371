#!/usr/bin/env bash
# Scenarios under fire and scenarios of every crash are able to fail: with the rule taken out that it is about (cargo feature `fault`), it says so.
# Arguments: rules to be tried; without any, all of them (SHORT=1: the first three).
set -euo pipefail
cd "$(dirname "$0")/../.."

# Rule, scenario, and what the scenario must say without the rule.
readonly RULES='
SyncLog fire::power_cut::nothing_acknowledged_or_shown_is_lost_at_flush_ack Lost:
RaiseEpoch fire::power_cut::only_the_end_is_lost_at_flush_os Lost:\|UsedAgain:
CheckSequence fire::kill::acknowledged_records_survive_at_flush_ack Twice:
GoOffline fire::failed_sync::nothing_is_acknowledged_past_a_failed_sync_that_a_power_cut_makes_true Lost:\|PastFailedSync:\|Gap:
SyncEachFile fire::failed_sync::nothing_is_acknowledged_past_a_failed_sync_that_a_power_cut_makes_true Lost:\|Gap:\|DAMAGED_RANGE
SyncLog fire::read_only::a_disk_that_becomes_read_only_loses_nothing_and_comes_back DAMAGED_RANGE\|Lost:\|Gap:
GoOffline fire::syscalls::failing_calls_lose_nothing_at_flush_ack stand.still
KeepReserve fire::full_disk::a_full_disk_is_emptied_through_weir of.a.reserve
GiveWay fire::hot_topic::a_fetch_of_many_places_gives_way_to_small_requests nobody.have.a.turn
LeaveToWriter fire::slow_disk::a_stopped_disk_takes_no_memory_and_loses_nothing held.up.by.appends
LeaveToWriter fire::slow_disk::a_slow_disk_loses_nothing_and_does_not_hold_up_small_requests held.up.by.appends
TakeTurns fire::slow_disk::a_topic_on_a_slow_disk_does_not_hold_up_those_on_others append.at.flush=os.waited
SyncWhenDue fire::power_cut::only_the_end_is_lost_at_flush_interval is.not.flushed
SyncWhenDue fire::power_cut::no_more_than_the_window_is_lost_at_flush_interval LostTooMuch:
TrustDurablePoint fire::restart_time::a_restart_takes_no_longer_with_more_data_of_producers_with_ids reads.what.is.durable
KeepBelowPoint fire::damage::a_segment_cut_at_each_byte_keeps_what_was_durable_in_mind batches.durable
RebuildEpochs fire::damage::a_flipped_bit_in_a_side_file_changes_no_answer epochs.0.and.1.end
ExpireActive fire::upkeep::a_quiet_topic_rolls_and_expires_by_itself_and_keeps_its_end retention.of.a.quiet.active
SearchByTime fire::upkeep::offsets_by_time_are_right_whatever_the_order_of_the_times time.[0-9]*,.before
MissFolder fire::folders::lost::a_lost_folder_is_told_and_the_rest_is_served never.made.anew
MoveDeleted fire::folders::topics_made_again_survive_kills is.still.there
MakePlaces fire::full_disk::no_more_files::no_room_for_another_file delete.of.one
KeepDeleting fire::folders::each_call::a_deleted_folder_that_can_not_be_moved_is_left_for_the_next_start quarantine/
TryAgain fire::descriptors::an_opening_that_fails_in_a_round_is_tried_again STORAGE_ERROR
SpareDescriptors fire::descriptors::a_flood_of_connections_refuses_connections_only Too.many.open.files
KeepSetAside fire::clock::what_is_set_aside_while_the_clock_stands_still_stays that.were.set.aside.are.gone
KeepTimesInOrder fire::clock::append_time_never_goes_back append.time.goes.back
GoSlow fire::clock::a_leap_ahead_takes_one_segment_at_a_time a.leap.of.a.year.took
NoteTrim fire::upkeep::trims_and_settings_survive_kills an.acknowledged.trim
CheckFile fire::checkpoints::a_damaged_weir_meta_stops_the_start_and_changes_nothing byte.[0-9]*:
CheckJournal fire::damage::a_flipped_bit_in_the_flush_journal_cuts_nothing journal.byte
MarkFormatting fire::first_start::a_failing_call_in_the_first_start_keeps_no_later_start_from_coming_up is.not.a.data.directory
KeepDeadline stop::a_stop_under_load_is_clean_though_clients_never_finish_their_handshake left:.None
TakeFreeOnly fire::groups::churn::every_record_is_processed_whoever_comes_and_goes old.owner\|two.owners
KeepAssigned fire::groups::kept::kept_partitions_are_never_revoked and.yet.revoked\|partitions.moved
ExpireSilent fire::groups::churn::what_a_killed_process_read_is_read_again_after_its_session it.never.comes
CommitAsOwner fire::groups::refused::what_was_read_under_an_old_epoch_is_not_committed who.is.no.owner.was.taken
CommitInEpoch fire::groups::refused::what_was_read_under_an_old_epoch_is_not_committed old.epoch.was.taken
CommitAlone fire::groups::refused::a_zombie_commits_nothing commit.was.taken
SyncCleaned crash::compaction::passes_survive_every_crash states.fail
UnlinkSides crash::compaction::passes_survive_every_crash states.fail
CheckInterval fire::damage::a_flipped_bit_in_a_segment_is_told_below_the_durable_point_and_ends_the_log_above_it batches.durable\|whole.batches
CutBack crash::faults::failed_writes_of_several_batches_survive_every_crash states.fail
CheckSequence crash::producers::two_producers_survive_every_crash states.fail
RaiseEpoch crash::log::restarts_under_stored_epochs_survive_every_crash states.fail
GoOffline crash::faults::failed_syncs_survive_every_crash states.fail
AwaitCommit sim:seeds seed.[0-9]*:
SyncLog sim:seeds seed.[0-9]*:
SyncCleaned sim:seeds seed.[0-9]*:
CheckSequence sim:seeds records:
'

export RUST_BACKTRACE=0 WEIR_KILLS="${WEIR_KILLS:-6}" WEIR_CUTS="${WEIR_CUTS:-3}"
# A rule of the first start shows at few of its calls.
export WEIR_EVERY_CALL=1
# Failing syncs alone: the rule is about them.
export WEIR_FAULTS="${WEIR_FAULTS:-8}" WEIR_FAULT_CALLS=fdatasync
# The second slow disk has slow writes.
export WEIR_SLOW="${WEIR_SLOW:-2}"
# Two owners at once are a matter of moments.
export WEIR_ROUNDS="${WEIR_ROUNDS:-4}"
# Of the simulation.
export WEIR_SEEDS="${WEIR_SEEDS:-600}"
# WHY: the tests would take a release build that is newer, which has every rule.
export WEIR="${CARGO_TARGET_DIR:-$PWD/target}/debug/weir"
said=$(mktemp)
trap 'rm -f "$said"' EXIT

if [ "${SHORT:-}" = 1 ]; then most=3; else most=100; fi
for name in "$@"; do
    grep -q "^$name " <<< "$RULES" || { echo "no rule '$name'; there are: $(awk 'NF { print $1 }' <<< "$RULES" | sort -u | xargs)"; exit 2; }
done
tried=0
skipped=()
left_out=()
while read -r rule scenario finding; do
    [ -n "$rule" ] || continue
    [ $# -eq 0 ] || [[ " $* " == *" $rule "* ]] || continue
    if [ "$tried" -ge "$most" ]; then
        left_out+=("$rule")
        continue
    fi
    case $scenario in sim:*) test=sim ;; *) test=it ;; esac
    # WHY no input: what is run must not read the list.
    if RULE_OUT=$rule timeout 900 cargo test -q --features fault --test "$test" "${scenario#sim:}" -- --exact --nocapture \
        > "$said" 2>&1 < /dev/null; then
        if grep -q 'skipped:' "$said"; then
            echo "rule $rule is not tried: $(grep -o 'skipped:.*' "$said" | head -1)"
            skipped+=("$rule")
            continue
        fi
        echo "rules: $scenario holds without $rule: it shows nothing"
        exit 1
    fi
    if ! grep -q "$finding" "$said"; then
        tail -30 "$said"
        echo "rules: $scenario fails without $rule, but does not say '$finding'"
        exit 1
    fi
    echo "without $rule, $scenario says: $(grep -c "$finding" "$said" || true) x $finding"
    tried=$((tried + 1))
done <<< "$RULES"
[ ${#left_out[@]} -eq 0 ] || echo "not in the short form: ${left_out[*]}"
[ ${#skipped[@]} -eq 0 ] || echo "skipped: ${skipped[*]}: what they need is not here"
echo "rules: $tried taken out, each one noticed; ${#skipped[@]} skipped"
