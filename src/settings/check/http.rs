//! `http:` of an uplink: address, who logs in, times.

use super::uplink::{check_secret, check_tls, check_user, scheme, within};
use super::{join, url};
use crate::settings::report::Report;
use crate::settings::shape::Http;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long an HTTP answer may be waited for.
const HTTP_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(300);

/// Checks the way to an HTTP server.
pub(super) fn check(http: &Http, path: &str, report: &mut Report) {
    let at = join(path, "url");
    match url::parse(&http.url) {
        Ok(url) => {
            let safe = scheme(url.scheme, ["http", "https"], &at, report);
            check_tls(safe, http.tls.as_ref(), ["http", "https"], path, report);
        }
        Err(wrong) => report.add(
            &at,
            format!("{wrong} http://HOST/PATH or https://HOST/PATH"),
        ),
    }
    if http.bearer.is_some() && http.basic.is_some() {
        report.add(
            join(path, "basic"),
            "both `bearer` and `basic` stand here: a request carries one of them, take the other away",
        );
    }
    if let Some(secret) = &http.bearer {
        check_secret(secret, &join(path, "bearer"), report);
    }
    if let Some(user) = &http.basic {
        check_user(user, &join(path, "basic"), report);
    }
    within(
        "timeout",
        http.timeout,
        HTTP_TIMEOUT,
        "10ms to 5min",
        path,
        report,
    );
}
