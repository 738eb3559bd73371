//! What a call knows of its connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::transport::server::Connected;

use crate::api::connection::Connection;
use crate::api::under_way::UnderWay;

/// What a call knows of its connection.
#[derive(Clone)]
pub struct Caller {
    /// The address under which the client found the broker: what it is told as the broker's address works for it.
    pub found_at: Option<SocketAddr>,
    /// The pieces of replies that the connection has not sent.
    pub under_way: Arc<UnderWay>,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        Caller { found_at: self.local_address(), under_way: self.under_way().clone() }
    }
}
