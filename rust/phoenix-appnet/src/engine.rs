use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::os::unix::net::UCred;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use futures::future::BoxFuture;
use nix::unistd::Uid;

use appnet_mrpc_host::{Answer, Engine as Host, Guarded, Id, Incoming, Message, Outgoing};
use phoenix_api::rpc::{CallId, MessageMeta, RpcId, RpcMsgType, StatusCode, TransportStatus};
use phoenix_api::Handle;
use phoenix_common::engine::datapath::message::{EngineRxMessage, EngineTxMessage, RpcMessageRx, RpcMessageTx};
use phoenix_common::engine::datapath::meta_pool::MetaBufferPool;
use phoenix_common::engine::datapath::{DataPathNode, TryRecvError};
use phoenix_common::engine::{future, Decompose, Engine, EngineResult, Indicator, Vertex};
use phoenix_common::impl_vertex_for_engine;
use phoenix_common::log;
use phoenix_common::storage::{ResourceCollection, SharedStorage};

use crate::module::HOST;

/// What the sender's application gets for a request that is refused before it leaves. 402 would leave the call pending.
const REFUSED: NonZeroU32 = match NonZeroU32::new(403) {
    Some(code) => code,
    None => unreachable!(),
};

/// How many denials may be on their way to callers at a time; further ones wait.
const MOST_DENIALS: usize = 128;

/// How long what was sent stays after an engine has gone: Phoenix may still read it, and tells only engines that are there.
const LINGER: Duration = Duration::from_secs(30);

/// What Phoenix may yet read when an engine has gone: it stays for a while.
pub(crate) struct Lasting(Option<Kept>);

struct Kept {
    host: Host,
    /// Of denials that are on their way.
    denials: MetaBufferPool,
}

static LEFT: Mutex<VecDeque<(Instant, Kept)>> = Mutex::new(VecDeque::new());

fn forget_the_old() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    while left.front().is_some_and(|it| it.0.elapsed() > LINGER) {
        left.pop_front();
    }
}

impl Lasting {
    pub fn new(host: Host) -> Self {
        forget_the_old();
        Lasting(Some(Kept { host, denials: MetaBufferPool::new(MOST_DENIALS) }))
    }

    fn kept(&mut self) -> &mut Kept {
        self.0.as_mut().expect("it is there until it is dropped")
    }

    fn host(&mut self) -> &mut Host {
        &mut self.kept().host
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        forget_the_old();
        if let Some(kept) = self.0.take() {
            LEFT.lock().unwrap_or_else(PoisonError::into_inner).push_back((Instant::now(), kept));
        }
    }
}

enum Delayed {
    Tx(EngineTxMessage),
    Rx(EngineRxMessage),
}

/// An engine of one side of connections.
pub(crate) struct AppNetEngine {
    node: DataPathNode,
    indicator: Indicator,
    host: Lasting,
    memory: Guarded,
    is_server: bool,
    denials_to_send: VecDeque<MessageMeta>,
    delayed: Vec<(Instant, Delayed)>,
}

impl_vertex_for_engine!(AppNetEngine, node);

fn id_of(meta: &MessageMeta) -> Id {
    Id { connection: meta.conn_id.0, call: meta.call_id.0 }
}

fn message_of(meta: &MessageMeta, address: usize) -> Message {
    let denied = meta.status_code != StatusCode::Success;
    Message { id: id_of(meta), function: meta.func_id, denied, address }
}

impl AppNetEngine {
    pub fn new(node: DataPathNode, mut host: Lasting) -> Result<Self> {
        let is_server = host.host().is_server();
        Ok(AppNetEngine {
            node,
            indicator: Indicator::default(),
            host,
            memory: Guarded::new()?,
            is_server,
            denials_to_send: VecDeque::new(),
            delayed: Vec::new(),
        })
    }

    async fn mainloop(&mut self) -> EngineResult {
        loop {
            let mut work = 0;
            loop {
                match self.step()? {
                    None => return Ok(()),
                    Some(0) => break,
                    Some(count) => work += count,
                }
            }
            self.host.host().tick();
            self.indicator.set_nwork(work);
            future::yield_now().await;
        }
    }

    /// Takes one message of each direction; how many there were, or None: a neighbour has gone.
    fn step(&mut self) -> Result<Option<usize>> {
        let mut count = self.send_delayed(false)? + self.send_denials()?;
        match self.node.tx_inputs[0].try_recv() {
            Ok(message) => {
                self.outgoing(message)?;
                count += 1;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(None),
        }
        match self.node.rx_inputs[0].try_recv() {
            Ok(message) => {
                self.incoming(message)?;
                count += 1;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(None),
        }
        Ok(Some(count))
    }

    fn send(&mut self, message: EngineTxMessage) -> Result<()> {
        self.node.tx_outputs[0].send(message).map_err(|_| anyhow::anyhow!("the next engine has gone"))
    }

    fn deliver(&mut self, message: EngineRxMessage) -> Result<()> {
        self.node.rx_outputs[0].send(message).map_err(|_| anyhow::anyhow!("the application's engine has gone"))
    }

    fn later(&mut self, wait_ms: u64, message: Delayed) -> Result<()> {
        if wait_ms > 0 {
            self.delayed.push((Instant::now() + Duration::from_millis(wait_ms), message));
            return Ok(());
        }
        self.now(message)
    }

    fn now(&mut self, message: Delayed) -> Result<()> {
        match message {
            Delayed::Tx(message) => self.send(message),
            Delayed::Rx(message) => self.deliver(message),
        }
    }

    /// Sends what has waited long enough, or all.
    fn send_delayed(&mut self, all: bool) -> Result<usize> {
        let mut count = 0;
        let mut index = 0;
        let now = Instant::now();
        while index < self.delayed.len() {
            if all || self.delayed[index].0 <= now {
                let (_, message) = self.delayed.remove(index);
                self.now(message)?;
                count += 1;
            } else {
                index += 1;
            }
        }
        Ok(count)
    }

    fn outgoing(&mut self, message: EngineTxMessage) -> Result<()> {
        let EngineTxMessage::RpcMessage(mut message) = message else { return self.send(message) };
        let place = message.meta_buf_ptr.as_meta_ptr();
        // SAFETY: the buffer is this message's until it is acknowledged.
        let meta = unsafe { *place };
        let ours = if self.is_server { RpcMsgType::Response } else { RpcMsgType::Request };
        if meta.msg_type != ours {
            return self.send(EngineTxMessage::RpcMessage(message));
        }
        match self.host.host().outgoing(&message_of(&meta, message.addr_backend), &self.memory) {
            Outgoing::Forward { address, wait_ms } => {
                message.addr_backend = address;
                self.later(wait_ms, Delayed::Tx(EngineTxMessage::RpcMessage(message)))
            }
            Outgoing::Refuse if self.is_server => {
                deny(&mut message, MessageMeta { status_code: StatusCode::AccessDenied, ..meta });
                self.send(EngineTxMessage::RpcMessage(message))
            }
            Outgoing::Refuse => {
                let id = RpcId::new(meta.conn_id, meta.call_id);
                self.deliver(EngineRxMessage::Ack(id, TransportStatus::Error(REFUSED)))
            }
        }
    }

    fn incoming(&mut self, message: EngineRxMessage) -> Result<()> {
        match message {
            EngineRxMessage::RpcMessage(message) => self.judge_incoming(message),
            EngineRxMessage::Ack(id, status) => {
                if self.host.kept().denials.release(id).is_ok() {
                    return Ok(()); // nobody else knows of it
                }
                let delivered = status == TransportStatus::Success;
                self.host.host().sent(Id { connection: id.0 .0, call: id.1 .0 }, delivered);
                self.deliver(EngineRxMessage::Ack(id, status))
            }
            EngineRxMessage::RecvError(connection, status) => {
                self.host.host().closed(connection.0);
                self.deliver(EngineRxMessage::RecvError(connection, status))
            }
        }
    }

    fn judge_incoming(&mut self, message: RpcMessageRx) -> Result<()> {
        let place = message.meta.as_ptr();
        // SAFETY: it lies in the buffer that the message came in, which is kept until the message is given up.
        let meta = unsafe { *place };
        // What denies a call may be marked as its request, as it was.
        let is_response = meta.msg_type == RpcMsgType::Response || meta.status_code != StatusCode::Success;
        if is_response == self.is_server {
            return self.deliver(EngineRxMessage::RpcMessage(message));
        }
        match self.host.host().incoming(&message_of(&meta, message.addr_backend), &self.memory) {
            Incoming::Forward { wait_ms } => self.later(wait_ms, Delayed::Rx(EngineRxMessage::RpcMessage(message))),
            Incoming::Refuse if self.is_server => {
                let (msg_type, status_code) = (RpcMsgType::Response, StatusCode::AccessDenied);
                self.denials_to_send.push_back(MessageMeta { msg_type, status_code, ..meta });
                self.send(reclaim(meta.conn_id, meta.call_id))?;
                self.send_denials().map(|_| ())
            }
            Incoming::Refuse => {
                // SAFETY: as above; the application's engine gives the buffer back.
                unsafe { (*place).status_code = StatusCode::AccessDenied };
                self.deliver(EngineRxMessage::RpcMessage(message))
            }
        }
    }

    /// Sends denials as long as there are buffers for them.
    fn send_denials(&mut self) -> Result<usize> {
        let mut count = 0;
        while let Some(meta) = self.denials_to_send.front().copied() {
            let Some(meta_buf_ptr) = self.host.kept().denials.obtain(RpcId::new(meta.conn_id, meta.call_id)) else {
                break;
            };
            self.denials_to_send.pop_front();
            let mut message = RpcMessageTx { meta_buf_ptr, addr_backend: 0 };
            deny(&mut message, meta);
            self.send(EngineTxMessage::RpcMessage(message))?;
            count += 1;
        }
        Ok(count)
    }
}

/// Makes a message one that has nothing but what its meta says.
fn deny(message: &mut RpcMessageTx, meta: MessageMeta) {
    message.addr_backend = 0;
    let buffer = message.meta_buf_ptr.0.as_ptr();
    // SAFETY: the buffer is this message's.
    unsafe {
        (*buffer).meta = meta;
        (*buffer).num_sge = 0;
        (*buffer).value_len = 0;
    }
}

fn reclaim(connection: Handle, call: CallId) -> EngineTxMessage {
    EngineTxMessage::ReclaimRecvBuf(connection, [call; 4])
}

impl Engine for AppNetEngine {
    fn activate<'a>(self: Pin<&'a mut Self>) -> BoxFuture<'a, EngineResult> {
        Box::pin(async move { self.get_mut().mainloop().await })
    }

    fn description(self: Pin<&Self>) -> String {
        format!("AppNet{}Engine", if self.is_server { "Receiver" } else { "Sender" })
    }

    fn tracker(self: Pin<&mut Self>) -> &mut Indicator {
        &mut self.get_mut().indicator
    }

    fn handle_request(&mut self, request: Vec<u8>, cred: UCred) -> Result<()> {
        if cred.uid != 0 && cred.uid != Uid::effective().as_raw() {
            bail!("user {} may not tell AppNet's engines what to do", cred.uid);
        }
        if let Answer::Failed(why) = self.host.host().handle(&request)? {
            log::warn!("AppNet: {why}");
        }
        Ok(())
    }
}

impl Decompose for AppNetEngine {
    fn flush(&mut self) -> Result<usize> {
        let mut work = self.send_delayed(true)?;
        while !self.tx_inputs()[0].is_empty() || !self.rx_inputs()[0].is_empty() {
            match self.step()? {
                Some(count) => work += count,
                None => break,
            }
            work += self.send_delayed(true)?;
        }
        Ok(work)
    }

    fn decompose(
        self: Box<Self>,
        _shared: &mut SharedStorage,
        _global: &mut ResourceCollection,
    ) -> (ResourceCollection, DataPathNode) {
        let engine = *self;
        let mut local = ResourceCollection::with_capacity(1);
        local.insert(HOST.to_string(), Box::new(Mutex::new(engine.host)));
        (local, engine.node)
    }
}
