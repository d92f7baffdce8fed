//! The door for the fuzzers: what a connection sends, to a broker that has just begun.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopic;

use super::api::{self, Ends};
use super::groups::requests;
use super::node::BrokerNode;
use super::state::BrokerState;
use super::topics::requests as topics;
use super::transactions::ending;

/// Requests of a connection, at most: more tell nothing new.
const REQUESTS: usize = 8;
/// Bytes of an answer, at most: what a fetch may have, and a little.
const ANSWER_BYTES: usize = 9 << 20;

/// What the broker's futures need around them.
#[derive(Debug)]
pub struct Wire(tokio::runtime::Runtime);

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire {
    /// Makes one; it is used again and again.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self(runtime.expect("a runtime"))
    }

    /// Sends requests to a new broker with topic `t`, each behind its length in two bytes. None is waited for: a wait
    /// is cut off, as if the client had gone.
    pub fn talk(&self, mut bytes: &[u8]) {
        let _entered = self.0.enter();
        let node = BrokerNode::new(BrokerState::open(None).expect("a broker"));
        make_topic(&node);
        for _ in 0..REQUESTS {
            let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
                break;
            };
            let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
            let (request, rest) = rest.split_at(length);
            answer(&node, request);
            bytes = rest;
        }
        requests::tick(&mut node.state.borrow_mut());
        ending::tick(&mut node.state.borrow_mut());
    }
}

fn answer(node: &BrokerNode, request: &[u8]) {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    let ends = Ends { own: here, peer: here };
    let answer = pin!(api::answer(node, Bytes::copy_from_slice(request), ends));
    if let Poll::Ready(Ok(Some(answer))) = answer.poll(&mut Context::from_waker(Waker::noop())) {
        assert!(answer.len() <= ANSWER_BYTES, "an answer of {} bytes", answer.len());
        assert_eq!(answer[4..8], request[4..8], "it is that of another request");
    }
}

fn make_topic(node: &BrokerNode) {
    let topic = CreatableTopic::default()
        .with_name(kafka_protocol::protocol::StrBytes::from_static_str("t").into())
        .with_num_partitions(2)
        .with_replication_factor(1);
    let made = topics::create(
        &mut node.state.borrow_mut(),
        CreateTopicsRequest::default().with_topics(vec![topic]),
    );
    assert!(made.topics.iter().all(|topic| topic.error_code == 0), "{made:?}");
}
