//! Connections that are attempted.

use std::io::ErrorKind;

use ekio::poller::{Interest, Poller, Readiness, Source, Trigger};

use crate::support::net::{connect, refusing, send, tcp_listener};
use crate::support::rig::Rig;
use crate::support::{is_libkqueue, skipped};

pub fn connect_succeeds<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (listener, address) = tcp_listener();
    let stream = connect(address).unwrap();
    let source = Source::socket(&stream);
    let ticket = rig.add(source, 1, Interest::WRITABLE, trigger);
    let readiness = rig.expect(1, Readiness::WRITABLE);
    assert!(!readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(stream.peer_addr().unwrap(), address);
    rig.delete(ticket, source);

    // The connection is there, and carries.
    let ticket = rig.add(
        Source::socket(&listener),
        2,
        Interest::READABLE,
        Trigger::Level,
    );
    rig.expect(2, Readiness::READABLE);
    let (far, _) = listener.accept().unwrap();
    rig.delete(ticket, Source::socket(&listener));
    rig.forget();
    let ticket = rig.add(source, 3, Interest::READABLE, trigger);
    send(&far, b"x");
    rig.expect(3, Readiness::READABLE);
    rig.delete(ticket, source);
}

/// Row "connect + SO_ERROR": the refusal is learned, exactly once.
pub fn connect_refused<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (_holder, address) = refusing();
    let stream = match connect(address) {
        Ok(stream) => stream,
        Err(error) => {
            // Some systems know at once.
            return assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    };
    let source = Source::socket(&stream);
    let ticket = rig.add(source, 1, Interest::WRITABLE, trigger);
    let readiness = rig.expect(1, Readiness::WRITABLE);
    if is_libkqueue::<P>() {
        skipped("libkqueue has taken the socket's error: the event alone tells of it");
        assert!(readiness.contains(Readiness::ERROR), "{readiness:?}");
    } else {
        let error = stream.take_error().unwrap();
        let error = error.expect("there is an error to fetch");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    if cfg!(unix) {
        assert!(stream.take_error().unwrap().is_none(), "it was taken");
    }
    match trigger {
        Trigger::Level => {}
        Trigger::Edge => {
            rig.settle();
            rig.forget();
            rig.expect_silence();
        }
        Trigger::OneShot => rig.expect_silence(),
    }
    rig.delete(ticket, source);
}
