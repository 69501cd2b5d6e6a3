//! The other side goes away, in each of the ways there are.

use std::io::Write as _;
use std::net::Shutdown;

use ekio::poller::{Interest, Poller, Readiness, Source, Trigger};

use crate::support::net::{End, drain, reset, send, tcp_pair};
use crate::support::rig::Rig;
use crate::support::{is_libkqueue, skipped};

const READABLE: Interest = Interest::READABLE;

/// The peer has said all it has to say, and still listens.
pub fn peer_half_closes<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (1, Interest::BOTH, trigger);
    let ticket = rig.add(source, 1, Interest::BOTH, trigger);
    rig.expect(1, Readiness::WRITABLE);
    rig.ask_again(&ticket, source, wish, READABLE);
    send(&far, b"farewell");
    far.shutdown(Shutdown::Write).unwrap();
    let readiness = rig.expect_or_ask(&ticket, source, wish, Readiness::READABLE);
    assert!(
        !readiness.contains(Readiness::WRITE_CLOSED),
        "{readiness:?}"
    );
    assert!(!readiness.contains(Readiness::ERROR), "{readiness:?}");
    assert_eq!(drain(&near), (b"farewell".to_vec(), End::Closed));
    // The other direction is not affected.
    send(&near, b"and you?");
    assert_eq!(drain(&far).0, b"and you?");
    if trigger == Trigger::Edge {
        // Reported, and never again: to wait costs nothing.
        rig.settle();
        rig.forget();
        rig.expect_silence();
    }
    rig.delete(ticket, source);
}

/// A reset while data is queued: it is reported, and then there is peace.
pub fn peer_resets<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    rig.expect_silence();
    send(&near, b"never read");
    reset(far);
    let mut readiness = rig.expect(1, Readiness::READABLE);
    // The direction is what counts; some systems say more.
    let (_, end) = drain(&near);
    if is_libkqueue::<P>() {
        skipped("libkqueue has taken the socket's error: to the reader the reset is an end");
        assert_eq!(end, End::Closed);
    } else {
        assert!(end.is_reset(), "{end:?}");
    }
    let ended = (&near).write(b"x");
    assert!(ended.is_err(), "{ended:?}");
    match trigger {
        Trigger::Level => readiness |= rig.expect(1, Readiness::READABLE),
        Trigger::OneShot => rig.expect_silence(),
        Trigger::Edge => {
            rig.settle();
            rig.forget();
            rig.expect_silence();
        }
    }
    assert!(
        readiness.intersects(Readiness::TERMINAL),
        "a reset that says nothing of its kind: {readiness:?}"
    );
    rig.delete(ticket, source);
}

/// The writer alone is interested: it learns of the reset too.
pub fn peer_resets_writer<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    crate::support::net::fill(&near);
    let ticket = rig.add(source, 1, Interest::WRITABLE, trigger);
    reset(far);
    rig.expect(1, Readiness::WRITABLE);
    // What was told may be older than the reset (room that came late): then it is told again.
    while (&near).write(b"x").is_ok() {
        rig.ask_again(
            &ticket,
            source,
            (1, Interest::WRITABLE, trigger),
            Interest::WRITABLE,
        );
    }
    rig.delete(ticket, source);
}

/// Row a13: a half-close, then a reset with bytes queued. Each is learned, and the processor idles
/// afterwards.
pub fn half_close_rst<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    send(&far, b"queued");
    far.shutdown(Shutdown::Write).unwrap();
    rig.expect(1, Readiness::READABLE);
    assert_eq!(drain(&near), (b"queued".to_vec(), End::Closed));
    // The peer no longer takes anything: what we send it is answered by a reset.
    send(&near, b"unread");
    reset(far);
    if trigger == Trigger::OneShot {
        rig.expect_silence();
    } else {
        let deadline = std::time::Instant::now() + crate::support::HANG;
        while (&near).write(b"x").is_ok() {
            assert!(std::time::Instant::now() < deadline, "no reset came");
            rig.settle();
        }
        rig.settle();
        rig.forget();
    }
    if trigger == Trigger::Edge {
        let mut bound = 3;
        while !rig.wait(crate::support::QUIET).is_empty() {
            bound -= 1;
            assert_ne!(bound, 0, "reported over and over");
        }
    }
    rig.delete(ticket, source);
}

/// Who waits for urgent data too is told of the end as often as others, and not at every wait.
pub fn gone_with_priority<P: Poller>() {
    if !P::CAPS.priority {
        return skipped("this poller does not watch urgent data");
    }
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let interest = Interest::BOTH | Interest::PRIORITY;
    let ticket = rig.add(source, 1, interest, Trigger::Edge);
    rig.expect(1, Readiness::WRITABLE);
    reset(far);
    rig.expect(1, Readiness::READABLE);
    rig.settle();
    rig.forget();
    rig.expect_silence();
    rig.delete(ticket, source);
}

/// Row a12: whatever happens to a source of no interest, nothing is reported, and the time-out is
/// kept.
pub fn empty_interest_idle<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (added, added_peer) = tcp_pair();
    let (changed, changed_peer) = tcp_pair();
    let (calm, calm_peer) = tcp_pair();
    let from_the_start = rig.add(Source::socket(&added), 1, Interest::NONE, trigger);
    let later = rig.add(Source::socket(&changed), 2, Interest::BOTH, trigger);
    rig.expect(2, Readiness::WRITABLE);
    rig.modify(&later, Source::socket(&changed), 2, Interest::NONE, trigger);
    let third = rig.add(Source::socket(&calm), 3, Interest::NONE, trigger);
    rig.forget();
    rig.expect_silence();
    send(&added_peer, b"data");
    drop(added_peer);
    reset(changed_peer);
    rig.expect_silence();
    rig.rearm(&from_the_start, Interest::BOTH);
    rig.expect_silence();
    // Interest can come back.
    rig.modify(
        &from_the_start,
        Source::socket(&added),
        4,
        READABLE,
        trigger,
    );
    rig.expect(4, Readiness::READABLE);
    rig.modify(&third, Source::socket(&calm), 5, READABLE, trigger);
    send(&calm_peer, b"x");
    rig.expect(5, Readiness::READABLE);
    rig.delete(from_the_start, Source::socket(&added));
    rig.delete(later, Source::socket(&changed));
    rig.delete(third, Source::socket(&calm));
}

/// A breach of "delete before close": nothing worse than silence comes of it.
pub fn closed_while_registered<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    // Its number is to stay nobody's, and the tests beside this one open sockets too.
    #[cfg(unix)]
    let numbers = crate::support::unix::HighNumbers::take();
    #[cfg(unix)]
    let near = std::net::TcpStream::from(numbers.duplicate(&near));
    let lost = rig.add(Source::socket(&near), 1, READABLE, trigger);
    rig.expect_silence();
    drop(near);
    // Systems may say that the source is gone, once. They may not spin.
    rig.settle();
    assert!(
        !rig.take_seen(1)
            .contains(Readiness::WRITABLE | Readiness::PRIORITY)
    );
    rig.settle();
    rig.forget();
    rig.expect_silence();
    drop((lost, far));
    let (near, far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 2, READABLE, trigger);
    send(&far, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&near));
}

/// Row a11: a hang-up and an error may come without a direction of their own.
#[cfg(unix)]
pub fn hup_err_alone<P: Poller>(trigger: Trigger) {
    use crate::support::unix::pipe;
    use std::io::{ErrorKind, Read as _};
    let mut rig = Rig::<P>::new();
    let (mut reader, writer) = pipe();
    let reading = rig.add(Source::descriptor(&reader), 1, READABLE, trigger);
    rig.expect_silence();
    drop(writer);
    let readiness = rig.expect(1, Readiness::READABLE);
    assert!(readiness.contains(Readiness::READ_CLOSED), "{readiness:?}");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    rig.delete(reading, Source::descriptor(&reader));
    rig.forget();

    let (reader, mut writer) = pipe();
    while writer.write(&[0; 4096]).is_ok() {}
    let writing = rig.add(Source::descriptor(&writer), 2, Interest::WRITABLE, trigger);
    rig.expect_silence();
    drop(reader);
    let readiness = rig.expect(2, Readiness::WRITABLE);
    assert!(readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
    assert_eq!(
        writer.write(&[0]).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    rig.delete(writing, Source::descriptor(&writer));
}

/// Row a07: the reader is gone before the writer is added.
#[cfg(unix)]
pub fn pipe_reader_gone<P: Poller>(trigger: Trigger) {
    use crate::support::unix::pipe;
    let mut rig = Rig::<P>::new();
    let (reader, mut writer) = pipe();
    drop(reader);
    let source = Source::descriptor(&writer);
    let ticket = rig.add(source, 1, Interest::WRITABLE, trigger);
    let readiness = rig.expect(1, Readiness::WRITABLE);
    assert!(readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
    rig.delete(ticket, source);
    assert!(writer.write(&[0]).is_err());
}

#[cfg(not(unix))]
pub fn hup_err_alone<P: Poller>(_trigger: Trigger) {
    skipped("this system's pipes cannot be polled");
}

#[cfg(not(unix))]
pub fn pipe_reader_gone<P: Poller>(_trigger: Trigger) {
    skipped("this system's pipes cannot be polled");
}
