//! ProducerService.

use tonic::{Request, Response, Status, Streaming};

use super::call::RequestId;
use super::convert;
use super::outbox::{Outlet, outbox};
use super::produce_replies::replies;
use super::produce_stream;
use super::reply_body::Unsent;
use super::status::status;
use crate::api::door::Door;
use crate::broker::produce::produce;
use crate::proto::grpc as pb;
use crate::proto::grpc::producer_service_server::ProducerService;

/// Writes records.
pub struct Producing(pub Door);

#[tonic::async_trait]
impl ProducerService for Producing {
    async fn init_producer(
        &self,
        _: Request<pb::InitProducerRequest>,
    ) -> Result<Response<pb::InitProducerResponse>, Status> {
        let (id, epoch) = self.0.broker.init_producer().await.map_err(status)?;
        Ok(Response::new(pb::InitProducerResponse { producer_id: id.0, producer_epoch: epoch.into() }))
    }

    async fn produce(
        &self,
        request: Request<pb::ProduceRequest>,
    ) -> Result<Response<pb::ProduceResponse>, Status> {
        let id = RequestId::of(request.extensions());
        let request = request.into_inner();
        let acks = convert::acks(request.acks).map_err(status)?;
        let items = convert::produce_items(request.batches).map_err(status)?;
        let results = produce(&self.0.broker, acks, items).await;
        Ok(Response::new(pb::ProduceResponse { results: replies(&self.0.broker, &id, results) }))
    }

    type ProduceStreamStream = Outlet;

    async fn produce_stream(
        &self,
        request: Request<Streaming<pb::ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let unsent = Unsent::new(request.extensions(), self.0.broker.env().clock.clone());
        let (results, outlet) = outbox(self.0.broker.budget().clone(), unsent.clone());
        let door = self.0.clone();
        // A task of its own, because the reading of requests must not wait until the client reads results.
        let id = RequestId::of(request.extensions());
        let reader = tokio::spawn(produce_stream::run(door, id, request.into_inner(), results));
        let mut response = Response::new(outlet.ends(reader.abort_handle()));
        response.extensions_mut().insert(unsent);
        Ok(response)
    }
}
