//! What a call knows of its connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tonic::Extensions;
use tonic::transport::server::Connected;

use crate::api::connection::Connection;
use crate::api::under_way::UnderWay;

/// What a call knows of its connection.
#[derive(Clone)]
pub struct Caller {
    /// The address under which the client found the broker: what it is told as the broker's address works for it.
    pub found_at: Option<SocketAddr>,
    /// Where the client is.
    pub host: Option<IpAddr>,
    /// The pieces of replies that the connection has not sent.
    pub under_way: Arc<UnderWay>,
}

impl Caller {
    /// Where the client of a call is, as text; empty where that is not known.
    pub fn host_of(call: &Extensions) -> String {
        let host = call.get::<Self>().and_then(|caller| caller.host);
        host.map_or_else(String::new, |host| host.to_string())
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        // WHY: to a socket of both families a client of the older one has a mapped address.
        let host = self.peer_address().map(|address| address.ip().to_canonical());
        Caller { found_at: self.local_address(), host, under_way: self.under_way().clone() }
    }
}
