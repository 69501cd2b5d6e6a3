//! A listener survives that there are no more descriptors. (A program of its own, because it takes
//! them from everybody.)

#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::os::fd::AsFd as _;

use ekio::net::{TcpListener, TcpStream};
use rustix::process::{Resource, getrlimit, setrlimit};
use support::futures::{cancel, everywhere};

#[test]
fn accept_tells_and_goes_on_when_there_is_one_again() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        cancel(listener.accept()).await;
        let address = listener.local_addr().unwrap();
        let clients = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];

        let before = getrlimit(Resource::Nofile);
        let mut tight = before;
        tight.current = Some(64);
        setrlimit(Resource::Nofile, tight).unwrap();
        let mut hoard = Vec::new();
        while let Ok(one) = listener.as_fd().try_clone_to_owned() {
            hoard.push(one);
        }
        for _ in 0..3 {
            let error = listener.accept().await.unwrap_err();
            let code = error.raw_os_error().unwrap();
            assert_eq!(code, rustix::io::Errno::MFILE.raw_os_error());
        }
        drop(hoard);
        setrlimit(Resource::Nofile, before).unwrap();

        for client in &clients {
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        }
        cancel(listener.accept()).await;
    });
}
