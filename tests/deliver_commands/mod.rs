//! `millgate deliver test` and `resend` as people run them: against a real mosquitto, and a MES that answers by script.

mod http;
mod mqtt;
mod resend;
