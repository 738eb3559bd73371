//! ClusterService.

use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert;
use super::limits::bounded;
use super::status::status;
use crate::api::door::Door;
use crate::base::error::KINDS;
use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::time::as_ms;
use crate::broker::lookup::closest_topic;
use crate::broker::stats::{Problem, Stats};
use crate::broker::topics::names::is_internal;
use crate::env::process;
use crate::metrics::names::TopicState;
use crate::metrics::{Method, Protocol, TopicCounters};
use crate::proto::grpc as pb;
use crate::proto::grpc::cluster_service_server::ClusterService;

/// Tells what runs here.
pub struct Cluster(pub Door);

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn get_cluster(
        &self,
        request: Request<pb::GetClusterRequest>,
    ) -> Result<Response<pb::GetClusterResponse>, Status> {
        let broker = &self.0.broker;
        let resident = process::resident();
        let setting = |setting: crate::config::broker::BrokerSetting| pb::BrokerSetting {
            key: setting.key.to_owned(),
            value: setting.value,
            source: setting.source.to_string(),
        };
        Ok(Response::new(pb::GetClusterResponse {
            cluster_id: broker.cluster_id().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            broker_id: broker.settings().node_id,
            brokers: self.brokers(&request),
            settings: broker.settings().settings().into_iter().map(setting).collect(),
            uptime_ms: as_ms(broker.uptime()),
            broker_epoch: broker.broker_epoch(),
            rss_anon_bytes: i64::try_from(resident.anon_bytes).unwrap_or(i64::MAX),
            rss_file_bytes: i64::try_from(resident.file_bytes).unwrap_or(i64::MAX),
        }))
    }

    async fn get_stats(
        &self,
        request: Request<pb::GetStatsRequest>,
    ) -> Result<Response<pb::GetStatsResponse>, Status> {
        let stats = self.0.broker.stats().await;
        let reply = stats_reply(&self.0, stats, request.into_inner().include_topics);
        bounded(reply, "ask without include_topics")
    }

    async fn get_metadata(
        &self,
        request: Request<pb::GetMetadataRequest>,
    ) -> Result<Response<pb::GetMetadataResponse>, Status> {
        let brokers = self.brokers(&request);
        let names = request.into_inner().topics;
        if names.len() > REQUEST_ITEMS_MAX {
            let what = format!("has {} items: give at most {REQUEST_ITEMS_MAX}", names.len());
            return Err(status(convert::invalid("topics", what)));
        }
        let topics = match names.is_empty() {
            true => self.all_topics(),
            false => self.topics(&names).await,
        };
        let cluster_id = self.0.broker.cluster_id().to_string();
        bounded(pb::GetMetadataResponse { cluster_id, brokers, topics }, "name fewer topics at once")
    }
}

impl Cluster {
    /// This broker, under the address that the client found it at.
    fn brokers<T>(&self, request: &Request<T>) -> Vec<pb::Broker> {
        let settings = self.0.broker.settings();
        let found_at = request.extensions().get::<Caller>().and_then(|caller| caller.found_at);
        let address = found_at.unwrap_or(settings.listen).to_string();
        vec![pb::Broker { broker_id: settings.node_id, address }]
    }

    fn all_topics(&self) -> Vec<pb::TopicMetadata> {
        let image = self.0.broker.image();
        image.topics().filter(|topic| topic.is_ready()).map(|topic| self.topic(&topic.name)).collect()
    }

    async fn topics(&self, names: &[String]) -> Vec<pb::TopicMetadata> {
        let mut topics = Vec::with_capacity(names.len());
        for name in names {
            let topic = self.topic(name);
            if !topic.exists {
                // WHY: a wrong name is compared with others, and there may be thousands: others have their turn.
                tokio::task::yield_now().await;
            }
            topics.push(topic);
        }
        topics
    }

    fn topic(&self, name: &str) -> pb::TopicMetadata {
        let image = self.0.broker.image();
        let mut reply =
            pb::TopicMetadata { name: name.to_owned(), internal: is_internal(name), ..Default::default() };
        let Some(topic) = image.topic(name).filter(|topic| topic.is_ready()) else {
            reply.closest = closest_topic(&image, name).unwrap_or_default().to_owned();
            return reply;
        };
        let leader_id = self.0.broker.settings().node_id;
        let ready = (0..).zip(&topic.partitions).take(topic.ready_count.max(0) as usize);
        reply.exists = true;
        reply.topic_id = convert::id_bytes(topic.id);
        reply.max_message_bytes = i32::try_from(topic.config.max_message_bytes).unwrap_or(i32::MAX);
        reply.partitions = ready
            .map(|(partition, state)| pb::PartitionMetadata {
                partition,
                leader_id,
                leader_epoch: state.leader_epoch,
            })
            .collect();
        reply
    }
}

fn stats_reply(door: &Door, stats: Stats, include_topics: bool) -> pb::GetStatsResponse {
    let (broker, counters, state) = (&door.broker, door.broker.counters(), stats.state);
    let connections = Protocol::ALL.iter().map(|protocol| counters.connections(*protocol).get()).sum();
    let open_streams = Method::ALL.iter().map(|method| counters.open_streams(*method).get()).sum();
    let errors = KINDS.iter().map(|row| counters.errors(row.kind).get()).sum();
    let topics = stats.topics.into_iter().filter(|_| include_topics);
    pb::GetStatsResponse {
        broker_id: broker.settings().node_id,
        uptime_ms: as_ms(state.uptime),
        problems: stats.problems.iter().map(problem).collect(),
        traffic: Some(traffic(&counters.traffic)),
        requests: signed(broker.request_count()),
        errors: signed(errors),
        connections: small(connections),
        open_streams: small(open_streams),
        topics: small(state.topics),
        partitions: small(state.partitions),
        partitions_offline: small(state.partitions_offline),
        size_bytes: signed(state.log_size_bytes),
        segments: signed(state.segments),
        unsynced_bytes: signed(state.unsynced_bytes),
        memory_limit_bytes: signed(state.memory_limit_bytes),
        memory_used_bytes: signed(state.memory_used_bytes),
        rss_anon_bytes: signed(state.resident_anon_bytes),
        disk_size_bytes: signed(state.disk_total_bytes),
        disk_free_bytes: signed(state.disk_free_bytes),
        disk_reserve_bytes: signed(state.disk_reserve_bytes),
        disk_full: state.disk_full,
        topic_stats: topics.map(topic_stats).collect(),
    }
}

fn problem(problem: &Problem) -> pb::Problem {
    let severity = match problem.is_critical() {
        true => pb::ProblemSeverity::Critical,
        false => pb::ProblemSeverity::Warning,
    };
    pb::Problem { severity: severity.into(), message: problem.to_string() }
}

fn topic_stats(topic: TopicState) -> pb::TopicStats {
    pb::TopicStats {
        name: topic.name.to_string(),
        partitions: small(topic.partitions),
        partitions_offline: small(topic.partitions_offline),
        size_bytes: signed(topic.size_bytes),
        segments: signed(topic.segments),
        traffic: Some(traffic(&topic.counters)),
    }
}

fn traffic(counters: &TopicCounters) -> pb::Traffic {
    pb::Traffic {
        records_in: signed(counters.records_in.get()),
        bytes_in: signed(counters.bytes_in.get()),
        records_out: signed(counters.records_out.get()),
        bytes_out: signed(counters.bytes_out.get()),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn small(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
