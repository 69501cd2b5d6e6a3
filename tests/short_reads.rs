//! A read that gets less than it asked for is believed to have emptied the socket only where that
//! is certain. Both cases here were hangs: no further edge comes for what was left behind.

#[path = "support/mod.rs"]
mod support;

use std::io::Write as _;
use std::net::Shutdown;

use ekio::net::TcpStream;
use support::futures::{cancel, everywhere};
use support::net::{send_urgent, tcp_pair};

#[test]
fn c01_short_read_with_fin() {
    everywhere(|| async {
        let (far, near) = tcp_pair();
        let near = TcpStream::from_std(near).unwrap();
        let mut buffer = [0; 64];
        // Registered, and nothing believed.
        cancel(near.read(&mut buffer)).await;
        (&far).write_all(b"last words").unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        let mut count = 0;
        while count < 10 {
            count += near.read(&mut buffer).await.unwrap();
        }
        assert_eq!(near.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no MSG_OOB")]
fn c02_short_read_at_urgent_mark() {
    everywhere(|| async {
        let (far, near) = tcp_pair();
        let near = TcpStream::from_std(near).unwrap();
        let mut buffer = [0; 64];
        let mut read = Vec::new();
        for round in 0..3 {
            if round > 0 {
                cancel(near.read(&mut buffer)).await;
            }
            (&far).write_all(b"before").unwrap();
            send_urgent(&far, b'!');
            (&far).write_all(b"after").unwrap();
            read.clear();
            while read.len() < 11 {
                let count = near.read(&mut buffer).await.unwrap();
                read.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(read, b"beforeafter");
        }
        // Past the marks everything is as before: it waits, and it is woken.
        cancel(near.read(&mut buffer)).await;
        (&far).write_all(b"x").unwrap();
        assert_eq!(near.read(&mut buffer).await.unwrap(), 1);
    });
}

/// The same, when the reader is asleep while the data trickles in.
#[test]
#[cfg_attr(miri, ignore = "Miri has no MSG_OOB")]
fn data_around_a_mark_wakes_a_sleeping_reader() {
    everywhere(|| async {
        let (far, near) = tcp_pair();
        let near = TcpStream::from_std(near).unwrap();
        let trickle = std::thread::spawn(move || {
            for _ in 0..20 {
                (&far).write_all(b"before").unwrap();
                send_urgent(&far, b'!');
                std::thread::yield_now();
                (&far).write_all(b"after").unwrap();
            }
        });
        let (mut buffer, mut read) = ([0; 64], 0);
        loop {
            match near.read(&mut buffer).await.unwrap() {
                0 => break,
                count => read += count,
            }
        }
        trickle.join().unwrap();
        // An urgent byte that a later one overtakes is read like the others.
        assert!((20 * 11..20 * 12).contains(&read), "{read}");
    });
}

/// A system fills 1,024 buffers at most (`IOV_MAX`), so a read into more than that is short although
/// it has left data behind.
#[cfg(unix)]
#[test]
#[cfg_attr(miri, ignore = "Miri has no readv")]
fn a_read_into_more_buffers_than_the_system_takes_is_not_short() {
    everywhere(|| async {
        let (mut far, near) = tcp_pair();
        let near = TcpStream::from_std(near).unwrap();
        use std::io::IoSliceMut;
        let mut bytes = [0; 2_000];
        // Registered, and nothing believed.
        cancel(near.read(&mut bytes)).await;
        far.write_all(&[7; 2_000]).unwrap();
        let mut count = 0;
        while count < bytes.len() {
            let mut buffers: Vec<_> = bytes[count..].chunks_mut(1).map(IoSliceMut::new).collect();
            count += near.read_vectored(&mut buffers).await.unwrap();
        }
        assert_eq!(bytes, [7; 2_000]);
    });
}
