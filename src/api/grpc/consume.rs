//! ConsumerService.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{OpenStream, RequestId, note_items};
use super::convert;
use super::groups::{self, ConsumeStream};
use super::limits::fit_offsets;
use super::reply_body::Unsent;
use super::status::status;
use crate::api::door::Door;
use crate::base::Error;
use crate::broker::Broker;
use crate::broker::fetch::{Tail, TailAnswer, fetch, list_offset};
use crate::broker::request::{ListedOffset, OffsetQuestion, RefusedItem};
use crate::metrics::Method;
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
        let id = RequestId::of(request.extensions());
        let request = convert::fetch_request(request.into_inner()).map_err(status)?;
        let reply = fetch(&self.0.broker, request, self.0.stopping.clone()).await;
        let errors = reply.partitions.iter().filter_map(|partition| partition.result.as_ref().err());
        note_items(&self.0.broker, &id, errors);
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
        let id = RequestId::of(request.extensions());
        let questions = convert::offset_questions(request.into_inner()).map_err(status)?;
        let answers = stream::iter(questions).map(|question| self.answer(question)).buffered(LOOKUPS_AT_ONCE);
        let answers: Vec<_> = answers.collect().await;
        let errors = answers.iter().filter_map(|answer| answer.result.as_ref().err());
        note_items(&self.0.broker, &id, errors);
        let mut offsets: Vec<_> = answers.into_iter().map(convert::listed_offset).collect();
        fit_offsets(&mut offsets);
        Ok(Response::new(pb::ListOffsetsResponse { offsets }))
    }

    type ConsumeStream = ConsumeStream;

    async fn consume(
        &self,
        request: Request<Streaming<pb::ConsumeRequest>>,
    ) -> Result<Response<Self::ConsumeStream>, Status> {
        let unsent = Unsent::new(request.extensions(), self.0.broker.env().clock.clone());
        let id = RequestId::of(request.extensions());
        Ok(groups::consume(self.0.clone(), id, unsent, request))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<pb::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<pb::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let unsent = Unsent::new(request.extensions(), self.0.broker.env().clock.clone());
        let id = RequestId::of(request.extensions());
        let request = convert::tail_request(request.into_inner()).map_err(status)?;
        let tail = Tail::open(&self.0.broker, request, self.0.stopping.clone()).await;
        let mut response: Response<Self::TailStream> = Response::new(Box::pin(answers(
            tail,
            Followed {
                broker: self.0.broker.clone(),
                id,
                unsent: unsent.clone(),
                _open: OpenStream::new(&self.0.broker, Method::Tail),
            },
        )));
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
fn answers(tail: Tail, followed: Followed) -> impl Stream<Item = Result<pb::TailResponse, Status>> {
    stream::unfold((tail, followed), |(mut tail, followed)| async {
        let mut answer = tail.next().await?;
        followed.note(&mut answer);
        Some((answer.map(tail_response).map_err(status), (tail, followed)))
    })
}

/// What goes along with a call of Tail.
struct Followed {
    broker: Arc<Broker>,
    id: RequestId,
    unsent: Unsent,
    _open: OpenStream,
}

impl Followed {
    fn note(&self, answer: &mut Result<TailAnswer, Error>) {
        match answer {
            Ok(answer) => {
                self.broker.counters().requests(Method::Tail).increment();
                self.unsent.add(std::mem::take(&mut answer.debits));
                note_items(&self.broker, &self.id, answer.partition.result.as_ref().err());
            }
            Err(error) => note_items(&self.broker, &self.id, [&*error]),
        }
    }
}

fn tail_response(answer: TailAnswer) -> pb::TailResponse {
    let partition = Some(convert::fetched_partition(answer.partition));
    pb::TailResponse { partition, caught_up: answer.caught_up }
}
