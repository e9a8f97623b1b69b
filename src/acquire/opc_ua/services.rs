//! The services that the gateway asks of an OPC UA server. There are no others: nothing here writes, calls or changes
//! anything but the gateway's own session and subscription (OPC 10000-4).
//!
//! Each function is one request, or several where a request would be longer than allowed.

use super::limits::{MAX_NODES, MAX_NOTIFICATIONS};
use super::wire::{Trouble, Wire};
use crate::acquire::driver::link_error;
use opcua::core::ResponseMessage;
use opcua::types::{
    BrowseDescription, BrowseNextRequest, BrowsePath, BrowsePathResult, BrowseRequest,
    BrowseResult, ByteString, CloseSessionRequest, CreateMonitoredItemsRequest,
    CreateSubscriptionRequest, CreateSubscriptionResponse, DataValue, EndpointDescription,
    GetEndpointsRequest, MonitoredItemCreateRequest, MonitoredItemCreateResult, PublishRequest,
    ReadRequest, ReadValueId, StatusCode, SubscriptionAcknowledgement, TimestampsToReturn,
    TranslateBrowsePathsToNodeIdsRequest,
};
use std::time::Duration;

/// The endpoints that the server offers.
pub(super) async fn get_endpoints(
    wire: &mut Wire,
    url: &str,
) -> Result<Vec<EndpointDescription>, Trouble> {
    let request = GetEndpointsRequest {
        request_header: wire.usual_header(),
        endpoint_url: url.into(),
        locale_ids: None,
        profile_uris: None,
    };
    match wire.ask(request).await? {
        ResponseMessage::GetEndpoints(answer) => Ok(answer.endpoints.unwrap_or_default()),
        other => Err(unexpected(&other)),
    }
}

/// Values or attributes, in the order of `nodes`; at most `per_request` at once.
pub(super) async fn read(
    wire: &mut Wire,
    nodes: &[ReadValueId],
    timestamps: TimestampsToReturn,
    per_request: usize,
) -> Result<Vec<DataValue>, Trouble> {
    let mut values = Vec::with_capacity(nodes.len());
    for part in nodes.chunks(per_request.clamp(1, MAX_NODES)) {
        let request = ReadRequest {
            request_header: wire.usual_header(),
            max_age: 0.0,
            timestamps_to_return: timestamps,
            nodes_to_read: Some(part.to_vec()),
        };
        match wire.ask(request).await? {
            ResponseMessage::Read(answer) => {
                values.extend(as_many(answer.results, part.len(), "Read")?);
            }
            other => return Err(unexpected(&other)),
        }
    }
    Ok(values)
}

/// References of nodes, in the order of `nodes`.
pub(super) async fn browse(
    wire: &mut Wire,
    nodes: Vec<BrowseDescription>,
    references_per_node: u32,
) -> Result<Vec<BrowseResult>, Trouble> {
    let asked = nodes.len();
    let request = BrowseRequest {
        request_header: wire.usual_header(),
        view: Default::default(),
        requested_max_references_per_node: references_per_node,
        nodes_to_browse: Some(nodes),
    };
    match wire.ask(request).await? {
        ResponseMessage::Browse(answer) => as_many(answer.results, asked, "Browse"),
        other => Err(unexpected(&other)),
    }
}

/// More references where the server did not give all; with `release` it only forgets that there are more.
pub(super) async fn browse_next(
    wire: &mut Wire,
    point: ByteString,
    release: bool,
) -> Result<Option<BrowseResult>, Trouble> {
    let request = BrowseNextRequest {
        request_header: wire.usual_header(),
        release_continuation_points: release,
        continuation_points: Some(vec![point]),
    };
    match wire.ask(request).await? {
        ResponseMessage::BrowseNext(answer) => Ok(answer
            .results
            .and_then(|results| results.into_iter().next())),
        other => Err(unexpected(&other)),
    }
}

/// The nodes at the end of paths, in the order of `paths`.
pub(super) async fn translate(
    wire: &mut Wire,
    paths: &[BrowsePath],
    per_request: usize,
) -> Result<Vec<BrowsePathResult>, Trouble> {
    let mut found = Vec::with_capacity(paths.len());
    for part in paths.chunks(per_request.clamp(1, MAX_NODES)) {
        let request = TranslateBrowsePathsToNodeIdsRequest {
            request_header: wire.usual_header(),
            browse_paths: Some(part.to_vec()),
        };
        match wire.ask(request).await? {
            ResponseMessage::TranslateBrowsePathsToNodeIds(answer) => {
                found.extend(as_many(answer.results, part.len(), "TranslateBrowsePaths")?);
            }
            other => return Err(unexpected(&other)),
        }
    }
    Ok(found)
}

/// What a subscription is asked to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// How often changes are sent.
    pub(super) publishing: Duration,
    /// Intervals without news after which the server says so.
    pub(super) keep_alive: u32,
    /// Intervals without a Publish request after which the server forgets the subscription.
    pub(super) lifetime: u32,
}

/// Makes a subscription.
pub(super) async fn create_subscription(
    wire: &mut Wire,
    wish: Wish,
) -> Result<CreateSubscriptionResponse, Trouble> {
    let request = CreateSubscriptionRequest {
        request_header: wire.usual_header(),
        requested_publishing_interval: wish.publishing.as_secs_f64() * 1_000.0,
        requested_lifetime_count: wish.lifetime,
        requested_max_keep_alive_count: wish.keep_alive,
        max_notifications_per_publish: MAX_NOTIFICATIONS,
        publishing_enabled: true,
        priority: 0,
    };
    match wire.ask(request).await? {
        ResponseMessage::CreateSubscription(answer) => Ok(*answer),
        other => Err(unexpected(&other)),
    }
}

/// Adds items to a subscription; results in the order of `items`. At most [`MAX_NODES`] at once.
pub(super) async fn create_monitored_items(
    wire: &mut Wire,
    subscription: u32,
    items: Vec<MonitoredItemCreateRequest>,
) -> Result<Vec<MonitoredItemCreateResult>, Trouble> {
    let asked = items.len();
    let request = CreateMonitoredItemsRequest {
        request_header: wire.usual_header(),
        subscription_id: subscription,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(items),
    };
    match wire.ask(request).await? {
        ResponseMessage::CreateMonitoredItems(answer) => {
            as_many(answer.results, asked, "CreateMonitoredItems")
        }
        other => Err(unexpected(&other)),
    }
}

/// A request for the next notification. The server answers when it has one, so it is not waited for here.
pub(super) fn publish(
    wire: &Wire,
    acknowledged: Vec<SubscriptionAcknowledgement>,
) -> PublishRequest {
    PublishRequest {
        request_header: wire.header(Duration::ZERO),
        subscription_acknowledgements: (!acknowledged.is_empty()).then_some(acknowledged),
    }
}

/// Ends the session and its subscriptions.
pub(super) async fn close_session(wire: &mut Wire) -> Result<(), Trouble> {
    let request = CloseSessionRequest {
        request_header: wire.usual_header(),
        delete_subscriptions: true,
    };
    wire.ask(request).await.map(drop)
}

/// Exactly as many results as were asked for: a server that sends others has confused them.
fn as_many<T>(results: Option<Vec<T>>, asked: usize, what: &str) -> Result<Vec<T>, Trouble> {
    let results = results.unwrap_or_default();
    if results.len() == asked {
        return Ok(results);
    }
    let detail = format!("{} answers to {what} of {asked} nodes", results.len());
    Err(Trouble::Broken(link_error("protocol", detail)))
}

/// An answer to something else.
pub(super) fn unexpected(answer: &ResponseMessage) -> Trouble {
    let detail = format!("{} came, which nobody asked for", answer.type_name());
    Trouble::Broken(link_error("protocol", detail))
}

/// A server that does not know a service at all.
pub(super) fn is_unsupported(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadServiceUnsupported
            | StatusCode::BadNotImplemented
            | StatusCode::BadNotSupported
    )
}
