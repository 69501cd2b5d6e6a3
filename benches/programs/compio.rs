use std::io;

use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:7007").await?;
        loop {
            let (stream, _) = listener.accept().await?;
            compio::runtime::spawn(echo(stream)).detach();
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let compio::BufResult(len, read) = stream.read(buffer).await;
        if len? == 0 {
            return Ok(());
        }
        let compio::BufResult(written, read) = stream.write_all(read).await;
        written?;
        buffer = read;
        buffer.clear();
    }
}
