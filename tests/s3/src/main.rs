//! `s3-server FOLDER [REFUSED]`: serves the folders below FOLDER as buckets of S3 on a free port of loopback, to the
//! access key `sandbar` with the secret `sandbar-secret`. Prints its address, and ends when its standard input does.
//! Answers 503 to the first REFUSED connections.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the address goes to whoever started it"
)]

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Who has the key may do everything, in buckets that there are: the files' server would make the others.
struct Buckets(PathBuf);

#[async_trait::async_trait]
impl S3Access for Buckets {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        match context.s3_path().get_bucket_name() {
            Some(bucket) if !self.0.join(bucket).is_dir() => Err(s3_error!(NoSuchBucket, "There is no such bucket")),
            _ => Ok(()),
        }
    }
}

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/xml\r\ncontent-length: 74\r\n\
    connection: close\r\n\r\n\
    <Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("a folder is missing")?);
    let refused: usize = arguments.next().map_or(Ok(0), |number| number.parse())?;
    let files = s3s_fs::FileSystem::new(&folder).map_err(|error| format!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single("sandbar", "sandbar-secret"));
    service.set_access(Buckets(folder));
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
    // An answer that comes before its question is none.
    let (mut request, mut piece) = (Vec::new(), [0_u8; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut piece).await {
            Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let _ = socket.write_all(BUSY).await;
    let _ = socket.shutdown().await;
    // What is left of the question: a socket that is closed over it would be reset, and the answer with it.
    while socket.read(&mut piece).await.is_ok_and(|length| length > 0) {}
}
