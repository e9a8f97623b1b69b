//! What a MES answers in B2MML: `Acknowledge...` for what it was to process, `ConfirmBOD` for a document as a whole.

mod tree;

use thiserror::Error;
use tree::{Node, read};

/// Largest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Longest code, in characters.
const MAX_CODE: usize = 128;
/// Longest text of why, in characters.
const MAX_DETAIL: usize = 1_024;

/// What a MES says about one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodVerdict {
    /// The document's `BODID`, which is the event's id; `None` where the answer does not name it.
    pub bod_id: Option<String>,
    /// It took it, as it was or modified. False: it refused it.
    pub accepted: bool,
    /// Its own code, such as `order-closed`; at most 128 characters.
    pub code: Option<String>,
    /// Why, in its own words; at most 1,024 characters.
    pub detail: Option<String>,
}

/// Why an answer says nothing.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// More than [`MAX_ANSWER_BYTES`].
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// Another encoding than UTF-8.
    #[error("the answer is no UTF-8")]
    NotText,
    /// It cannot be read as XML.
    #[error("the answer is no XML: {0}")]
    NotXml(String),
    /// XML that an answer has no need for, and that is not read.
    #[error("the answer has {0}")]
    Forbidden(&'static str),
    /// XML, but neither `Acknowledge...` nor `ConfirmBOD` of B2MML 7.
    #[error("the answer is neither Acknowledge... nor ConfirmBOD of B2MML 7")]
    NotAnAnswer,
    /// What may be there once is there twice.
    #[error("the answer has `{0}` twice in one place")]
    Twice(&'static str),
    /// It says neither Accepted nor Modified nor Rejected.
    #[error("the answer says neither Accepted nor Modified nor Rejected")]
    NoVerdict,
}

/// The verdicts of an answer: one; of a `ConfirmBOD` that names several documents, one for each.
///
/// # Errors
///
/// When `body` is no answer, or one without a verdict: then nothing is known.
pub fn verdicts(body: &[u8]) -> Result<Vec<BodVerdict>, AnswerError> {
    let root = read(body)?;
    let confirms = root.name == "ConfirmBOD";
    if !confirms && !root.name.starts_with("Acknowledge") {
        return Err(AnswerError::NotAnAnswer);
    }
    let data = root.one("DataArea")?.ok_or(AnswerError::NoVerdict)?;
    let verb = if confirms { "Confirm" } else { "Acknowledge" };
    let answer = data.one(verb)?.ok_or(AnswerError::NoVerdict)?;
    let mut verdict = verdict(answer)?;
    if !confirms {
        return Ok(vec![verdict]);
    }
    let mut ids: Vec<String> = verdict.bod_id.take().into_iter().collect();
    for bod in data.all("BOD") {
        ids.extend(bod_id(bod)?.filter(|id| !ids.contains(id)));
        verdict.detail = verdict.detail.or(joined(bod, &["Description", "Note"]));
    }
    if ids.is_empty() {
        return Ok(vec![verdict]);
    }
    let each = ids.into_iter().map(|id| BodVerdict {
        bod_id: Some(id),
        ..verdict.clone()
    });
    Ok(each.collect())
}

/// What the criteria say together: one that is refused refuses the whole, and says why.
fn verdict(answer: &Node) -> Result<BodVerdict, AnswerError> {
    let mut first: Option<Criterion> = None;
    for criteria in answer.all("ResponseCriteria") {
        let criterion = criterion(criteria)?;
        let worse = first
            .as_ref()
            .is_none_or(|known| known.accepted && !criterion.accepted);
        if worse {
            first = Some(criterion);
        }
    }
    let Criterion {
        accepted,
        code,
        detail,
    } = first.ok_or(AnswerError::NoVerdict)?;
    Ok(BodVerdict {
        bod_id: bod_id(answer)?,
        accepted,
        code,
        detail,
    })
}

struct Criterion {
    accepted: bool,
    code: Option<String>,
    detail: Option<String>,
}

fn criterion(criteria: &Node) -> Result<Criterion, AnswerError> {
    let expression = criteria.one("ResponseExpression")?;
    let status = criteria.one("ChangeStatus")?;
    let own = match status {
        Some(status) => status.one("Code")?.and_then(Node::text),
        None => None,
    };
    let said = expression.and_then(|expression| expression.action.as_deref());
    let accepted = meaning(said.or(own).unwrap_or_default()).ok_or(AnswerError::NoVerdict)?;
    let reason_code = match status {
        Some(status) => status.one("ReasonCode")?.and_then(Node::text),
        None => None,
    };
    // `Code` mostly repeats the verdict; where it says more, it is better than nothing.
    let code = reason_code.or(own.filter(|own| meaning(own).is_none()));
    let detail = status.and_then(|status| joined(status, &["Description", "Reason"]));
    let place = expression
        .and_then(Node::text)
        .filter(|place| *place != "/");
    Ok(Criterion {
        accepted,
        code: code.map(|code| cut(code, MAX_CODE)),
        detail: detail.or(place.map(|place| cut(place, MAX_DETAIL))),
    })
}

/// True for what is taken, false for what is not.
fn meaning(action: &str) -> Option<bool> {
    let is = |word: &str| action.trim().eq_ignore_ascii_case(word);
    if is("Rejected") {
        Some(false)
    } else {
        (is("Accepted") || is("Modified")).then_some(true)
    }
}

/// The id of the document that is answered.
fn bod_id(answer: &Node) -> Result<Option<String>, AnswerError> {
    let Some(area) = answer.one("OriginalApplicationArea")? else {
        return Ok(None);
    };
    let id = area.one("BODID")?.and_then(Node::text);
    Ok(id.map(str::to_owned))
}

/// The texts of the first of these elements that are there.
fn joined(node: &Node, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let texts: Vec<&str> = node.all(name).filter_map(Node::text).collect();
        (!texts.is_empty()).then(|| cut(&texts.join("; "), MAX_DETAIL))
    })
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::FIXTURES;
