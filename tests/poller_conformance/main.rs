//! One text for every poller: each holds to the contract that `ekio::poller` states.
//!
//! The situations stand in the modules by theme, as functions that are generic over the poller.
//! `for_each_situation!` makes tests of them; each backend has a file that asks for them, so that a
//! test is named after both: `epoll::edge_data_arrives`.
//!
//! Names that begin with a letter and a number (`a12_...`, `c01_...`) are those of bugs that bit
//! other event loops.
//!
//! What cannot be had on a system is said in the log ("skipped: ...").

// A situation that cannot be had somewhere is a function of the poller there too.
#![allow(clippy::extra_unused_type_parameters)]

/// Turns the situations into tests of one poller.
macro_rules! for_each_situation {
    ($poller:ty) => {
        tests! { $poller,
            level_data_arrives: data::arrives(Level),
            edge_data_arrives: data::arrives(Edge),
            oneshot_data_arrives: data::arrives(OneShot),
            level_holds_at_add: data::holds_at_add(Level),
            edge_holds_at_add: data::holds_at_add(Edge),
            oneshot_holds_at_add: data::holds_at_add(OneShot),
            level_partly_read: data::partly_read(Level),
            edge_partly_read: data::partly_read(Edge),
            oneshot_partly_read: data::partly_read(OneShot),
            level_room_to_write: data::room_to_write(Level),
            edge_room_to_write: data::room_to_write(Edge),
            oneshot_room_to_write: data::room_to_write(OneShot),
            level_both_directions: data::both_directions(Level),
            edge_both_directions: data::both_directions(Edge),
            oneshot_both_directions: data::both_directions(OneShot),
            level_hundreds_of_events: data::hundreds_of_events(Level),
            edge_hundreds_of_events: data::hundreds_of_events(Edge),
            oneshot_hundreds_of_events: data::hundreds_of_events(OneShot),
            level_connection_to_accept: data::connection_to_accept(Level),
            edge_connection_to_accept: data::connection_to_accept(Edge),
            oneshot_connection_to_accept: data::connection_to_accept(OneShot),
            level_datagram: data::datagram(Level),
            edge_datagram: data::datagram(Edge),
            oneshot_datagram: data::datagram(OneShot),
            a25_raw_read_rearm: data::raw_read_rearm(Edge),
            level_out_of_band: data::out_of_band(Level),
            edge_out_of_band: data::out_of_band(Edge),
            oneshot_out_of_band: data::out_of_band(OneShot),
            c01_short_read_with_fin: data::short_read_with_fin(Edge),
            c02_short_read_at_urgent_mark: data::short_read_at_urgent_mark(Edge),

            level_peer_half_closes: closing::peer_half_closes(Level),
            edge_peer_half_closes: closing::peer_half_closes(Edge),
            oneshot_peer_half_closes: closing::peer_half_closes(OneShot),
            level_peer_resets: closing::peer_resets(Level),
            edge_peer_resets: closing::peer_resets(Edge),
            oneshot_peer_resets: closing::peer_resets(OneShot),
            level_peer_resets_writer: closing::peer_resets_writer(Level),
            edge_peer_resets_writer: closing::peer_resets_writer(Edge),
            oneshot_peer_resets_writer: closing::peer_resets_writer(OneShot),
            edge_gone_with_priority: closing::gone_with_priority(),
            level_closed_while_registered: closing::closed_while_registered(Level),
            edge_closed_while_registered: closing::closed_while_registered(Edge),
            oneshot_closed_while_registered: closing::closed_while_registered(OneShot),
            a13_half_close_rst_level: closing::half_close_rst(Level),
            a13_half_close_rst_edge: closing::half_close_rst(Edge),
            a13_half_close_rst_oneshot: closing::half_close_rst(OneShot),
            a12_empty_interest_idle_level: closing::empty_interest_idle(Level),
            a12_empty_interest_idle_edge: closing::empty_interest_idle(Edge),
            a12_empty_interest_idle_oneshot: closing::empty_interest_idle(OneShot),
            a11_hup_err_alone_level: closing::hup_err_alone(Level),
            a11_hup_err_alone_edge: closing::hup_err_alone(Edge),
            a11_hup_err_alone_oneshot: closing::hup_err_alone(OneShot),
            a07_pipe_reader_gone_level: closing::pipe_reader_gone(Level),
            a07_pipe_reader_gone_edge: closing::pipe_reader_gone(Edge),
            a07_pipe_reader_gone_oneshot: closing::pipe_reader_gone(OneShot),

            level_connect_succeeds: connecting::connect_succeeds(Level),
            edge_connect_succeeds: connecting::connect_succeeds(Edge),
            oneshot_connect_succeeds: connecting::connect_succeeds(OneShot),
            b_connect_refused_once_level: connecting::connect_refused(Level),
            b_connect_refused_once_edge: connecting::connect_refused(Edge),
            b_connect_refused_once_oneshot: connecting::connect_refused(OneShot),

            level_added_twice: table::added_twice(Level),
            edge_added_twice: table::added_twice(Edge),
            oneshot_added_twice: table::added_twice(OneShot),
            level_modified_while_pending: table::modified_while_pending(Level),
            edge_modified_while_pending: table::modified_while_pending(Edge),
            oneshot_modified_while_pending: table::modified_while_pending(OneShot),
            level_modified_for_each_event: table::modified_for_each_event(Level),
            edge_modified_for_each_event: table::modified_for_each_event(Edge),
            oneshot_modified_for_each_event: table::modified_for_each_event(OneShot),
            level_deleted_while_pending: table::deleted_while_pending(Level),
            edge_deleted_while_pending: table::deleted_while_pending(Edge),
            oneshot_deleted_while_pending: table::deleted_while_pending(OneShot),
            reserved_key: table::reserved_key(),
            unsupported: table::unsupported(),
            a02_wait_err_then_ok: table::wait_err_then_ok(),
            a04_failed_add_no_leak: table::failed_add_no_leak(),
            a06_modify_keeps_foreign: table::modify_keeps_foreign(),
            a03_fd_reuse_dup_level: table::fd_reuse_dup(Level),
            a03_fd_reuse_dup_edge: table::fd_reuse_dup(Edge),
            a03_fd_reuse_dup_oneshot: table::fd_reuse_dup(OneShot),
            level_abandoned_and_closed: table::abandoned_and_closed(Level),
            edge_abandoned_and_closed: table::abandoned_and_closed(Edge),
            oneshot_abandoned_and_closed: table::abandoned_and_closed(OneShot),
            a14_regular_file_unsupported_level: table::regular_file_unsupported(Level),
            a14_regular_file_unsupported_edge: table::regular_file_unsupported(Edge),
            a14_regular_file_unsupported_oneshot: table::regular_file_unsupported(OneShot),

            notify_before_wait: threads::notify_before_wait(),
            notify_during_wait: threads::notify_during_wait(),
            notify_after_wait: threads::notify_after_wait(),
            notify_from_many_threads: threads::notify_from_many_threads(),
            notify_beside_events: threads::notify_beside_events(),
            post_before_wait: threads::post_before_wait(),
            post_during_wait: threads::post_during_wait(),
            post_from_many_threads: threads::post_from_many_threads(),
            post_beside_events: threads::post_beside_events(),
            second_wait_is_busy: threads::second_wait_is_busy(),
            level_change_during_wait: threads::change_during_wait(Level),
            edge_change_during_wait: threads::change_during_wait(Edge),
            oneshot_change_during_wait: threads::change_during_wait(OneShot),
            a01_register_vs_wait_level: threads::register_vs_wait(Level),
            a01_register_vs_wait_edge: threads::register_vs_wait(Edge),
            a01_register_vs_wait_oneshot: threads::register_vs_wait(OneShot),
            b_two_reactors_level: threads::two_reactors(Level),
            b_two_reactors_edge: threads::two_reactors(Edge),
            b_two_reactors_oneshot: threads::two_reactors(OneShot),

            a19_never_early: time::never_early(),
            a19_the_longest_times: time::the_longest_times(),
            a20_precision: time::precision(),
            b_eintr: time::eintr(),
            b_eintr_while_adding: time::eintr_while_adding(),

            level_process_exit: process::exit(Level),
            edge_process_exit: process::exit(Edge),
            oneshot_process_exit: process::exit(OneShot),
            a08_pid_eq_fd_level: process::pid_eq_fd(Level),
            a08_pid_eq_fd_edge: process::pid_eq_fd(Edge),
            a08_pid_eq_fd_oneshot: process::pid_eq_fd(OneShot),
            a09_spawn_true_1000_level: process::spawn_true_1000(Level),
            a09_spawn_true_1000_edge: process::spawn_true_1000(Edge),
            a09_spawn_true_1000_oneshot: process::spawn_true_1000(OneShot),
            a10_pidfd_spurious_edge: process::pidfd_spurious(Edge),
            a10_pidfd_spurious_oneshot: process::pidfd_spurious(OneShot),
            level_signal: process::signal(Level),
            edge_signal: process::signal(Edge),
            oneshot_signal: process::signal(OneShot),

            b_fork: copies::fork(),
            b_inherit: copies::inherit(),
        }
    };
}

/// `name: module::function(argument)` becomes a test.
macro_rules! tests {
    ($poller:ty, $($name:ident: $module:ident::$function:ident($($argument:expr)?),)*) => {
        $(
            #[test]
            fn $name() {
                crate::$module::$function::<$poller>($($argument)?);
            }
        )*
    };
}

mod closing;
mod connecting;
mod copies;
mod data;
mod process;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod threads;
mod time;

#[cfg(has_epoll)]
mod epoll;
#[cfg(has_iocp)]
mod iocp;
#[cfg(has_kqueue)]
mod kqueue;
#[cfg(has_poll)]
mod poll;
