//! Connections: accepting them, cutting the stream into requests, and the clock that groups and transactions live by.

use super::api::{self, Ends};
use super::groups::requests;
use super::node::{BrokerNode, CONNECTIONS, IDLE, REQUEST_LIMIT};
use super::transactions::ending;
use bytes::{Bytes, BytesMut};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests up to this many bytes take nothing of the room for large ones.
const SMALL: usize = 64 << 10;
/// How often the groups' clocks are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often transactions that are open for too long are looked for.
const OVERDUE_TICK: Duration = Duration::from_secs(1);

/// Accepts connections until it is dropped. Must run in a `LocalSet`: all state belongs to its thread.
pub(super) async fn serve(node: Rc<BrokerNode>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::task::spawn_local(keep_time(Rc::clone(&node)));
    tokio::task::spawn_local(end_overdue(Rc::clone(&node)));
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(TICK).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, "refused a connection: there are {CONNECTIONS} already");
            continue;
        };
        let node = Rc::clone(&node);
        tokio::task::spawn_local(async move {
            let _place = place;
            if let Err(error) = converse(&node, socket).await {
                tracing::debug!(%peer, %error, "a connection ended");
            }
        });
    }
}

/// Answers the requests of one connection in their order.
async fn converse(node: &BrokerNode, mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let ends = Ends {
        own: socket.local_addr()?,
        peer: socket.peer_addr()?,
    };
    while let Some((request, permit)) = read_request(node, &mut socket).await? {
        let answer = api::answer(node, request, ends).await;
        drop(permit);
        match answer {
            Ok(Some(answer)) => socket.write_all(&answer).await?,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(peer = %ends.peer, why = %error.why, "closing a connection: {}", error.what);
                break;
            }
        }
    }
    Ok(())
}

/// Reads one request; nothing at the end of the stream or after a long silence. No more memory is taken than came
/// bytes.
async fn read_request<'a>(
    node: &'a BrokerNode,
    socket: &mut TcpStream,
) -> io::Result<Option<(Bytes, Option<SemaphorePermit<'a>>)>> {
    let mut length = [0; 4];
    match tokio::time::timeout(IDLE, socket.read_exact(&mut length)).await {
        Ok(Ok(_)) => {}
        Err(_) => return Ok(None),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Ok(Err(error)) => return Err(error),
    }
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > REQUEST_LIMIT {
        return Err(io::Error::other(
            "a request is longer than the limit, or this is not Kafka's protocol",
        ));
    }
    let permit = match length > SMALL {
        true => node.requests.acquire_many(length.div_ceil(1024) as u32).await.ok(),
        false => None,
    };
    let mut request = BytesMut::new();
    while request.len() < length {
        let missing = length - request.len();
        request.reserve(missing.min(1 << 20));
        let read = tokio::time::timeout(IDLE, (&mut *socket).take(missing as u64).read_buf(&mut request)).await;
        if read.map_err(io::Error::other)?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some((request.freeze(), permit)))
}

async fn keep_time(node: Rc<BrokerNode>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        requests::tick(&mut node.state.borrow_mut());
    }
}

async fn end_overdue(node: Rc<BrokerNode>) {
    let mut ticks = tokio::time::interval(OVERDUE_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if ending::tick(&mut node.state.borrow_mut()) {
            node.appended.notify_waiters();
        }
    }
}
