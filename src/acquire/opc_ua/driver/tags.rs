//! What the driver does to read tags: finds them, watches or polls them, and tries again those that cannot be read.
//!
//! A part of `driver`, which says when.

use super::OpcUaServer;
use crate::acquire::opc_ua::items::{Item, Place};
use crate::acquire::opc_ua::live::{Live, Poll};
use crate::acquire::opc_ua::prepare::{self, Fault};
use crate::acquire::opc_ua::{services, subscribe};
use crate::acquire::schedule::Grid;
use crate::model::{BadReason, LinkError, Stamp};
use crate::settings::shape::Reading as How;
use opcua::types::{DataValue, ReadValueId, TimestampsToReturn};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

impl OpcUaServer {
    /// Makes everything that a connection needs before the first value.
    pub(super) async fn set_up(&mut self, live: &mut Live) -> Result<(), LinkError> {
        self.items.iter_mut().for_each(Item::renew);
        let all: Vec<usize> = (0..self.items.len()).collect();
        let mut faults = self.place(live, &all).await?;
        if self.settings.read == How::Subscribe {
            match subscribe::create(
                &mut live.wire,
                self.settings.publishing_interval,
                self.lost_after,
            )
            .await?
            {
                Ok(subscription) => {
                    let id = subscription.id;
                    live.subscription = Some(subscription);
                    faults.extend(self.watch(live, id, &all).await?);
                    live.ask_for_news();
                }
                Err(why) => warn!(device = %self.name, "{why}: its tags are polled instead"),
            }
        }
        if live.subscription.is_none() {
            live.polls = self.polls();
        }
        self.tell(faults);
        Ok(())
    }

    /// Finds where items lie.
    pub(super) async fn place(
        &mut self,
        live: &mut Live,
        which: &[usize],
    ) -> Result<Vec<Fault>, LinkError> {
        let Live {
            wire,
            server,
            types,
            ..
        } = live;
        let placed = prepare::place(wire, server, types, &mut self.items, which).await;
        placed.map_err(|trouble| trouble.into_link_error("to say where the tags are"))
    }

    /// Adds items to the subscription.
    pub(super) async fn watch(
        &mut self,
        live: &mut Live,
        subscription: u32,
        which: &[usize],
    ) -> Result<Vec<Fault>, LinkError> {
        let Live { wire, server, .. } = live;
        let refused =
            subscribe::add_items(wire, server, subscription, &mut self.items, which).await?;
        let mut faults = Vec::new();
        for (item, status) in refused {
            if let Some(one) = self.items.get_mut(item) {
                let what = format!(
                    "the server does not watch {}: {status}",
                    one.variable.node.identifier
                );
                one.place = Place::Nowhere(BadReason::Source);
                faults.push(Fault {
                    item,
                    reason: BadReason::Source,
                    what,
                });
            }
        }
        Ok(faults)
    }

    /// Items of equal period, on one grid.
    pub(super) fn polls(&self) -> Vec<Poll> {
        let mut periods: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
        for (number, item) in self.items.iter().enumerate() {
            periods.entry(item.every).or_default().push(number);
        }
        let origin = Instant::now();
        let poll = |(every, items)| Poll {
            grid: Grid::new(origin, every),
            items,
        };
        periods.into_iter().map(poll).collect()
    }

    /// Makes tags bad that cannot be read, and says why, once.
    pub(super) fn tell(&mut self, faults: Vec<Fault>) {
        let stamp = self.stamp();
        let mut readings = Vec::new();
        for fault in faults {
            let Some(item) = self.items.get_mut(fault.item) else {
                continue;
            };
            readings.push(item.bad(fault.reason, stamp));
            if self.told.get(&fault.item) != Some(&fault.what) {
                if let Some(swallowed) = self.quiet.may_speak(Instant::now()) {
                    let (device, tag) = (&self.name, &item.name);
                    warn!(%device, %tag, swallowed, "cannot be read: {}", fault.what);
                }
                self.told.insert(fault.item, fault.what);
            }
        }
        if !readings.is_empty() {
            let heard = self.heard(stamp, readings);
            self.ready.push_back(heard);
        }
    }

    pub(super) async fn work_on(
        &mut self,
        live: &mut Live,
    ) -> Result<Vec<(Stamp, Vec<(usize, DataValue)>)>, LinkError> {
        if live.retry_at <= Instant::now() {
            live.tried();
            self.try_again(live).await?;
        }
        let mut polls = std::mem::take(&mut live.polls);
        let mut came = Vec::new();
        for poll in polls
            .iter_mut()
            .filter(|poll| poll.grid.due() <= Instant::now())
        {
            came.extend(self.poll(live, &poll.items).await?);
            self.health.overruns.add(poll.grid.done(Instant::now()));
        }
        live.polls = polls;
        Ok(came)
    }

    /// Tags that could not be read are looked for again.
    pub(super) async fn try_again(&mut self, live: &mut Live) -> Result<(), LinkError> {
        let nowhere = |(number, item): (usize, &Item)| {
            matches!(item.place, Place::Nowhere(_)).then_some(number)
        };
        let which: Vec<usize> = self.items.iter().enumerate().filter_map(nowhere).collect();
        if which.is_empty() {
            return Ok(());
        }
        let mut faults = self.place(live, &which).await?;
        if let Some(id) = live.subscription.as_ref().map(|one| one.id) {
            faults.extend(self.watch(live, id, &which).await?);
        }
        let failed: Vec<usize> = faults.iter().map(|fault| fault.item).collect();
        for number in which.into_iter().filter(|number| !failed.contains(number)) {
            if self.told.remove(&number).is_some()
                && let Some(item) = self.items.get(number)
            {
                info!(device = %self.name, tag = %item.name, "can be read now");
            }
        }
        self.tell(faults);
        Ok(())
    }

    /// Reads items; each request is one instant.
    pub(super) async fn poll(
        &mut self,
        live: &mut Live,
        items: &[usize],
    ) -> Result<Vec<(Stamp, Vec<(usize, DataValue)>)>, LinkError> {
        let asked: Vec<(usize, ReadValueId)> = items
            .iter()
            .filter_map(|&number| Some((number, self.items.get(number)?.read_value_id()?)))
            .collect();
        let mut came = Vec::new();
        let per_request = live.server.nodes_per_read;
        for part in asked.chunks(per_request.max(1)) {
            let (numbers, nodes): (Vec<usize>, Vec<ReadValueId>) = part.iter().cloned().unzip();
            let both = TimestampsToReturn::Both;
            let values = services::read(&mut live.wire, &nodes, both, per_request).await;
            let values = values.map_err(|trouble| trouble.into_link_error("to read tags"))?;
            live.heard();
            self.health.answers.add(1);
            came.push((self.stamp(), numbers.into_iter().zip(values).collect()));
        }
        Ok(came)
    }
}
