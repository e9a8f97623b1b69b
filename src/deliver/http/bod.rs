//! What an answer in B2MML says of the document that was sent: `Acknowledge...` or `ConfirmBOD`. Pure.

use super::super::said;
use super::super::uplink::{Verdict, printable};
use super::super::verdict::{MAX_CODE_CHARS, MAX_DETAIL_CHARS, park_class};
use super::answer::Reply;
use crate::format::b2mml::{self, AnswerError, BodVerdict};
use crate::model::ParkClass;
use uuid::Uuid;

/// The verdict; `None` when the answer is none in B2MML, or its status blames the destination.
pub(super) fn verdict(reply: &Reply, id: Uuid) -> Option<Verdict> {
    let status = reply.status.as_u16();
    if reply.body.is_empty()
        || matches!(status, 202 | 300..=399 | 401 | 403 | 407 | 429 | 502..=504)
    {
        return None;
    }
    if reply.cut {
        let why = "the answer is longer than 64 KiB, or did not end in time, and the word of the MES stands in it";
        return Some(Verdict::Unanswered(reply.trouble(why)));
    }
    let said = match b2mml::verdicts(&reply.body) {
        Ok(said) => said,
        // Words for people, or nothing of ours: the status counts.
        Err(AnswerError::NotAnAnswer | AnswerError::NotXml(_) | AnswerError::NotText) => {
            return None;
        }
        Err(error) => {
            let why = format!("nothing can be taken from the answer: {error}");
            return Some(Verdict::Unanswered(reply.trouble(&why)));
        }
    };
    let of = |one: &&BodVerdict, wanted: Option<&str>| one.bod_id.as_deref() == wanted;
    let name = id.to_string();
    let ours = said.iter().find(|one| of(one, Some(&name)));
    let Some(ours) = ours.or_else(|| said.iter().find(|one| of(one, None))) else {
        let why = "the answer is about other documents than the one that was sent";
        return Some(Verdict::Unanswered(reply.trouble(why)));
    };
    Some(if ours.accepted {
        Verdict::Accepted
    } else {
        rejected(reply, ours)
    })
}

fn rejected(reply: &Reply, said: &BodVerdict) -> Verdict {
    let code = said
        .code
        .as_deref()
        .map(|code| printable(code, MAX_CODE_CHARS));
    let class = park_class(code.as_deref(), ParkClass::Business);
    if class == ParkClass::Business && is_duplicate(code.as_deref()) {
        return Verdict::Accepted;
    }
    let words = [code.as_deref(), said.detail.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let words = printable(&words.join(" "), MAX_DETAIL_CHARS);
    let mut trouble = reply.trouble("the MES rejects this event");
    trouble.reason = format!(
        "{} {words}: the MES rejects this event",
        reply.status.as_u16()
    );
    trouble.code = code.or(trouble.code);
    trouble.said = Some(said::text(&String::from_utf8_lossy(&reply.body)));
    reply.silence(&mut trouble);
    Verdict::Rejected(class, trouble)
}

/// The MES has the document already.
fn is_duplicate(code: Option<&str>) -> bool {
    code.is_some_and(|code| matches!(code, "duplicate" | "already-processed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn confirm(id: Uuid, action: &str, code: &str) -> String {
        format!(
            r#"<ConfirmBOD xmlns="http://www.mesa.org/xml/B2MML"><ApplicationArea><CreationDateTime>2026-11-22T09:00:00Z</CreationDateTime></ApplicationArea><DataArea><Confirm><OriginalApplicationArea><BODID>{id}</BODID></OriginalApplicationArea><ResponseCriteria><ResponseExpression actionCode="{action}"/><ChangeStatus><Code>{code}</Code><Description>WO-1 is closed</Description></ChangeStatus></ResponseCriteria></Confirm><BOD/></DataArea></ConfirmBOD>"#
        )
    }

    fn said(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply::new(status, &HeaderMap::new(), body.into());
        format!("{:?}", verdict(&reply, Uuid::from_u128(7)))
    }

    #[test]
    fn the_word_of_the_mes_counts_whatever_the_status() {
        let ours = Uuid::from_u128(7);
        let accepted = confirm(ours, "Accepted", "ok");
        let rejected = confirm(ours, "Rejected", "order-closed");
        let foreign = confirm(Uuid::from_u128(8), "Accepted", "ok");
        for (status, body, expected) in [
            (200, accepted.as_str(), "Some(Accepted"),
            (500, accepted.as_str(), "Some(Accepted"),
            (200, rejected.as_str(), "Some(Rejected(Business"),
            (400, rejected.as_str(), "Some(Rejected(Business"),
            (200, foreign.as_str(), "Some(Unanswered"),
            (200, "", "None"),
            (200, "thank you", "None"),
            (200, "<html/>", "None"),
            (503, rejected.as_str(), "None"),
            (401, rejected.as_str(), "None"),
        ] {
            let found = said(status, body);
            assert!(found.starts_with(expected), "{status} {body}: {found}");
        }
        assert!(said(200, &rejected).contains("order-closed"));
        assert_eq!(
            said(200, &confirm(ours, "Rejected", "duplicate")),
            "Some(Accepted)"
        );
    }

    #[test]
    fn a_secret_that_xml_escapes_is_not_told() {
        let secret = String::from("can&ary<01");
        let rejected = confirm(Uuid::from_u128(7), "Rejected", "order-closed");
        let telling = rejected.replace("WO-1 is closed", "password can&amp;ary&lt;01 has ended");
        for (body, is_told) in [(rejected, true), (telling, false)] {
            let reply = Reply::new(StatusCode::OK, &HeaderMap::new(), body.into());
            let reply = reply.without(std::iter::once(&secret));
            let Some(Verdict::Rejected(_, trouble)) = verdict(&reply, Uuid::from_u128(7)) else {
                panic!("rejected");
            };
            assert_eq!(trouble.reason.contains("order-closed"), is_told);
            assert_eq!(trouble.said.is_some(), is_told);
            assert!(!trouble.reason.contains(&secret), "{}", trouble.reason);
        }
    }
}
