//! Names are resolved, and never on a thread that drives a reactor.

#[path = "support/mod.rs"]
mod support;

use std::net::SocketAddr;

use ekio::net::lookup_host;
use support::futures::everywhere;

#[test]
fn localhost_is_here() {
    everywhere(|| async {
        for host in ["localhost:80", "LOCALHOST:80"] {
            let addresses: Vec<SocketAddr> = lookup_host(host).await.unwrap().collect();
            assert!(!addresses.is_empty());
            for address in addresses {
                assert!(
                    address.ip().is_loopback() && address.port() == 80,
                    "{address}"
                );
            }
        }
    });
}

#[test]
fn a_name_that_cannot_be_is_an_error() {
    everywhere(|| async {
        // A label of a name has up to 63 letters, so no server is asked for this one.
        let long = "x".repeat(64);
        lookup_host((long.as_str(), 80)).await.unwrap_err();
        // Nor for an empty one.
        lookup_host("..:80").await.unwrap_err();
    });
}

#[test]
fn addresses_are_answered_in_their_order() {
    everywhere(|| async {
        let both: Vec<SocketAddr> = ["[::1]:1", "127.0.0.1:2"]
            .map(|text| text.parse().unwrap())
            .into();
        let answer = lookup_host(&both).await.unwrap();
        assert_eq!(answer.len(), 2);
        assert!(answer.eq(both));
    });
}
