//! `s3-server FOLDER [REFUSED]`: serves the folders below FOLDER as buckets of S3 on a free port of loopback, to the access key `sandbar` with
//! the secret `sandbar-secret`. Prints its address, and ends when its standard input does. Answers 503 to the first REFUSED connections.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the address goes to whoever started it"
)]

use std::error::Error;
use std::io::Read;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/xml\r\ncontent-length: 74\r\nconnection: close\r\n\r\n\
    <Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a folder is missing")?;
    let refused: usize = arguments.next().map_or(Ok(0), |number| number.parse())?;
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single("sandbar", "sandbar-secret"));
    // Whoever started it is gone when its end of the pipe is.
    std::thread::Builder::new().spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(service.build(), refused))
}

async fn serve(service: S3Service, mut refused: usize) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut socket, _) = listener.accept().await?;
        if refused > 0 {
            refused -= 1;
            tokio::spawn(async move { refuse(&mut socket).await });
            continue;
        }
        let service = service.clone();
        tokio::spawn(async move {
            let connections = Builder::new(TokioExecutor::new());
            // A client that hangs up is no concern of the others.
            let _ = connections.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn refuse(socket: &mut TcpStream) {
    let mut request = [0_u8; 1 << 16];
    let _ = socket.readable().await;
    let _ = socket.try_read(&mut request);
    let _ = socket.write_all(BUSY).await;
    let _ = socket.shutdown().await;
}
