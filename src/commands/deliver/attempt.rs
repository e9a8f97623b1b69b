//! One destination tried step by step for `deliver test`: each of its brokers, the token endpoint where there is one, then
//! the events, each with the answer in words.

use super::super::{Exit, Failure, terminal};
use super::test::{Step, answer, blame, settings};
use crate::buffer::Record;
use crate::deliver::way::{self, End};
use crate::deliver::{Courier, NoToken, Parcel, Timing, parcel};
use crate::settings::{Plant, Uplink, UplinkProtocol};

/// A destination, what is sent to it, and what came of it.
pub(super) struct Attempt<'a> {
    plant: &'a Plant,
    records: &'a [Record],
    /// Steps are printed as they are made.
    tells: bool,
    /// All that was tried, in order.
    pub(super) steps: Vec<Step>,
    /// The broker that is being tried, where there are several.
    server: Option<String>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(plant: &'a Plant, records: &'a [Record], tells: bool) -> Attempt<'a> {
        Attempt {
            plant,
            records,
            tells,
            steps: Vec::new(),
            server: None,
        }
    }

    /// All servers of the uplink, each until a step ends its way.
    pub(super) async fn run(&mut self, uplink: &Uplink) -> Result<(), Failure> {
        let courier = self.courier(uplink)?;
        if !self.tell(settings(uplink, &courier, self.records))? {
            return Ok(());
        }
        let all = apart(uplink);
        let several = all.len() > 1;
        for (nth, (server, one)) in all.iter().enumerate() {
            if several {
                self.server = Some(server.clone());
                let role = match nth {
                    0 => "the first that is used",
                    _ => "stands in where those before it cannot be reached",
                };
                if self.tells {
                    terminal::print(&format!("\n{server}, {role}\n"))?;
                }
            }
            self.server_of(one).await?;
        }
        Ok(())
    }

    fn courier(&self, uplink: &Uplink) -> Result<Courier, Failure> {
        let courier = Courier::new(&self.plant.gateway, uplink, "test", Timing::default());
        courier.map_err(|error| Failure::new(Exit::Config, error))
    }

    /// Whether it goes on from here.
    fn tell(&mut self, step: Step) -> Result<bool, Failure> {
        if self.tells {
            terminal::print(&step.text())?;
        }
        let goes_on = step.exit.is_none();
        self.steps.push(Step {
            server: self.server.clone(),
            ..step
        });
        Ok(goes_on)
    }

    /// One server: the way to it, who we are there, and the events.
    async fn server_of(&mut self, uplink: &Uplink) -> Result<(), Failure> {
        let mut parcels = Vec::new();
        for record in self.records {
            let made = parcel(&self.plant.gateway, uplink, record);
            match made.map_err(|error| Failure::new(Exit::Config, error))? {
                Ok(parcel) => parcels.push((record, parcel)),
                Err(why) => {
                    let why = format!("{} has no form there: {why}", record.envelope.kind);
                    self.tell(Step::bad("event", Exit::Data, why))?;
                }
            }
        }
        let Some((_, first)) = parcels.first() else {
            return Ok(());
        };
        if !self.walk(uplink, first.url.as_deref()).await? {
            return Ok(());
        }
        let mut courier = self.courier(uplink)?;
        courier.shows_answers();
        if !self.token(uplink, &courier).await? || !self.login(uplink, &mut courier).await? {
            return Ok(());
        }
        for (nth, (record, parcel)) in parcels.iter().enumerate() {
            if !self.event(uplink, &mut courier, record, parcel).await? {
                return Ok(());
            }
            // After an answer that says that nothing is taken at present, protocols want a new connection.
            let refused = self.steps.last().is_some_and(|step| step.exit.is_some());
            let goes_on = nth + 1 < parcels.len();
            if goes_on && refused && courier.connect().await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn walk(&mut self, uplink: &Uplink, url: Option<&str>) -> Result<bool, Failure> {
        for step in way::walk(uplink, url).await {
            let exit = step.ends.map(|end| match end {
                End::Settings => Exit::Config,
                End::Unreachable => Exit::Unavailable,
            });
            if !self.tell(Step {
                exit,
                ..Step::good(step.what, step.words)
            })? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The token endpoint, where the settings name one.
    async fn token(&mut self, uplink: &Uplink, courier: &Courier) -> Result<bool, Failure> {
        let UplinkProtocol::Http(http) = &uplink.protocol else {
            return Ok(true);
        };
        let (Some(oauth2), Some(fetched)) = (&http.oauth2, courier.fetch_token().await) else {
            return Ok(true);
        };
        let step = match fetched {
            Ok(life) => {
                let life = match life {
                    Some(life) => format!("it is good for {} s", life.as_secs()),
                    None => "it does not say how long it is good for: 5 min are assumed".to_owned(),
                };
                let from = format!("a token from {} for `{}`", oauth2.token_url, oauth2.client);
                Step::good("token", vec![from, life])
            }
            Err(NoToken { why, refused }) => {
                let exit = match refused {
                    true => Exit::NoPermission,
                    false => Exit::Unavailable,
                };
                Step::bad("token", exit, why)
            }
        };
        self.tell(step)
    }

    async fn login(&mut self, uplink: &Uplink, courier: &mut Courier) -> Result<bool, Failure> {
        let connected = courier.connect().await;
        match (&uplink.protocol, connected) {
            (UplinkProtocol::Mqtt(_), Ok(())) => {
                self.tell(Step::good("login", vec!["the broker lets us in".into()]))
            }
            (UplinkProtocol::Http(_), Ok(())) => Ok(true),
            (_, Err(why)) => self.tell(Step::bad("login", blame(&why), why)),
        }
    }

    /// One event; whether the connection is still there.
    async fn event(
        &mut self,
        uplink: &Uplink,
        courier: &mut Courier,
        record: &Record,
        parcel: &Parcel,
    ) -> Result<bool, Failure> {
        let kind = &record.envelope.kind;
        match (&parcel.url, topic(parcel)) {
            (Some(url), _) => {
                self.tell(Step::good("URL", vec![url.clone(), format!("for {kind}")]))?
            }
            (None, Some(topic)) => {
                self.tell(Step::good("topic", vec![topic, format!("for {kind}")]))?
            }
            (None, None) => true,
        };
        courier.send(record);
        match courier.next().await {
            Ok(said) => {
                self.tell(answer(uplink, record, &said))?;
                Ok(true)
            }
            Err(why) => self.tell(Step::bad("answer", blame(&why), why)),
        }
    }
}

/// Where an event goes at a broker.
pub(super) fn topic(parcel: &Parcel) -> Option<String> {
    let found = parcel.label.iter().find(|(name, _)| name == "topic");
    found.map(|(_, topic)| topic.clone())
}

/// The uplink with each of its brokers alone.
fn apart(uplink: &Uplink) -> Vec<(String, Uplink)> {
    let UplinkProtocol::Mqtt(mqtt) = &uplink.protocol else {
        return vec![(String::new(), uplink.clone())];
    };
    let alone = |url: &String| {
        let mut one = uplink.clone();
        if let UplinkProtocol::Mqtt(mqtt) = &mut one.protocol {
            mqtt.url.clone_from(url);
            mqtt.fallback.clear();
        }
        (url.clone(), one)
    };
    let urls = std::iter::once(&mqtt.url).chain(&mqtt.fallback);
    urls.map(alone).collect()
}
