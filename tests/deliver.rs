//! Delivery against brokers and servers that misbehave on purpose, and against a real mosquitto.
//!
//! In each case the same is asked: does everything arrive, in the order of first deliveries, with no more repeats than
//! the window allows, and is nothing settled before its verdict?

mod b2mml_mqtt;
mod blame;
mod broker;
mod broker_greeting;
mod broker_mes;
mod certificates;
mod cuts;
mod http_answers;
mod http_bodies;
mod http_faults;
mod http_front;
mod http_locations;
mod http_reconnects;
mod http_requests;
mod http_slow;
mod http_tokens;
mod mes;
mod mosquitto;
mod mqtt_faults;
mod mqtt_greeting;
mod mqtt_mes;
mod mqtt_presence;
mod mqtt_reconnects;
mod oracle;
mod outage;
mod process;
mod real_broker;
mod real_mes;
mod real_tokens;
mod run;
