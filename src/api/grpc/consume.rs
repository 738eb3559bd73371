//! ConsumerService.

use std::pin::Pin;

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use tonic::{Request, Response, Status};

use super::convert;
use super::limits::fit_offsets;
use super::reply_body::Unsent;
use super::status::status;
use crate::api::listener::Door;
use crate::broker::fetch::{Tail, TailAnswer, fetch, list_offset};
use crate::broker::request::{ListedOffset, OffsetQuestion, RefusedItem};
use crate::proto::grpc as pb;
use crate::proto::grpc::consumer_service_server::ConsumerService;

/// Lookups by time of one request that run at once.
const LOOKUPS_AT_ONCE: usize = 8;

/// Reads records.
pub struct Consuming(pub Door);

#[tonic::async_trait]
impl ConsumerService for Consuming {
    async fn fetch(&self, request: Request<pb::FetchRequest>) -> Result<Response<pb::FetchResponse>, Status> {
        let unsent = Unsent::new(request.extensions(), self.0.broker.env().clock.clone());
        let request = convert::fetch_request(request.into_inner()).map_err(status)?;
        let reply = fetch(&self.0.broker, request, self.0.stopping.clone()).await;
        let partitions = reply.partitions.into_iter().map(convert::fetched_partition).collect();
        unsent.add(reply.debits);
        let mut response = Response::new(pb::FetchResponse { partitions });
        response.extensions_mut().insert(unsent);
        Ok(response)
    }

    async fn list_offsets(
        &self,
        request: Request<pb::ListOffsetsRequest>,
    ) -> Result<Response<pb::ListOffsetsResponse>, Status> {
        let questions = convert::offset_questions(request.into_inner()).map_err(status)?;
        let answers = stream::iter(questions).map(|question| self.answer(question)).buffered(LOOKUPS_AT_ONCE);
        let mut offsets: Vec<_> = answers.map(convert::listed_offset).collect().await;
        fit_offsets(&mut offsets);
        Ok(Response::new(pb::ListOffsetsResponse { offsets }))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<pb::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<pb::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let unsent = Unsent::new(request.extensions(), self.0.broker.env().clock.clone());
        let request = convert::tail_request(request.into_inner()).map_err(status)?;
        let tail = Tail::open(&self.0.broker, request, self.0.stopping.clone()).await;
        let mut response: Response<Self::TailStream> = Response::new(Box::pin(answers(tail, unsent.clone())));
        response.extensions_mut().insert(unsent);
        Ok(response)
    }
}

impl Consuming {
    async fn answer(&self, question: Result<OffsetQuestion, RefusedItem>) -> ListedOffset {
        match question {
            Ok(question) => list_offset(&self.0.broker, question).await,
            Err(RefusedItem { topic, partition, error }) => {
                ListedOffset { topic, partition, result: Err(error) }
            }
        }
    }
}

/// Each answer is made when the connection can take one; its debits go with its bytes.
fn answers(tail: Tail, unsent: Unsent) -> impl Stream<Item = Result<pb::TailResponse, Status>> {
    stream::unfold((tail, unsent), |(mut tail, unsent)| async {
        let mut answer = tail.next().await?;
        if let Ok(answer) = &mut answer {
            unsent.add(std::mem::take(&mut answer.debits));
        }
        Some((answer.map(tail_response).map_err(status), (tail, unsent)))
    })
}

fn tail_response(answer: TailAnswer) -> pb::TailResponse {
    let partition = Some(convert::fetched_partition(answer.partition));
    pb::TailResponse { partition, caught_up: answer.caught_up }
}
