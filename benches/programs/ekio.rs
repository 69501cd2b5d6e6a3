use std::io;

use ekio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    ekio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:7007").await?;
        loop {
            let (stream, _) = listener.accept().await?;
            ekio::spawn_local(echo(stream));
        }
    })
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while let len @ 1.. = stream.read(&mut buffer).await? {
        stream.write_all(&buffer[..len]).await?;
    }
    Ok(())
}
