//! Where an operation learns what it is about: order, lot, operator, product, program, part, materials, tool.

use super::equipment::words;
use super::join;
use super::scope::{Scope, at_most};
use crate::model::{PartKind, ValueKind};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Else, Operation, Origin, PartFrom, Pieces, Product, ReadPart};
use crate::settings::units::Period;
use std::time::Duration;

/// Most materials of one operation.
const MAX_MATERIALS: usize = 64;
/// Most programs that are given a product.
const MAX_PROGRAMS: usize = 4_096;
/// Longest wait for a late id: closed operations stay correctable for two minutes (DESIGN, section 4).
const LATE_WINDOW: Duration = Duration::from_secs(120);

/// Checks where an operation learns what it is about.
pub(super) fn check(operation: &Operation, scope: &Scope<'_>, path: &str, report: &mut Report) {
    for (key, source) in [
        ("segment", &operation.segment),
        ("program", &operation.program),
    ] {
        if let Some(source) = source {
            scope.source(source, &join(path, key), report);
        }
    }
    for (key, origin) in [
        ("order", &operation.order),
        ("lot", &operation.lot),
        ("operator", &operation.operator),
    ] {
        if let Some(origin) = origin {
            check_origin(key, origin, scope, &join(path, key), report);
        }
    }
    if let Some(product) = &operation.product {
        check_product(product, operation, scope, &join(path, "product"), report);
    }
    pieces(&operation.pieces, scope, path, report);
    part(&operation.part, scope, &join(path, "part"), report);
    materials(operation, scope, &join(path, "materials"), report);
    if let Some(tools) = &operation.tools {
        let path = join(path, "tools");
        scope.naming(&tools.tag, &join(&path, "tag"), report);
        if let Some(cycles) = &tools.cycles {
            scope.number(
                cycles,
                "what counts the cycles of a tool",
                &join(&path, "cycles"),
                report,
            );
        }
    }
}

/// `{ tag: x }`, `{ value: "x" }`, or a tag and what is scanned where it is empty.
fn check_origin(key: &str, origin: &Origin, scope: &Scope<'_>, path: &str, report: &mut Report) {
    match (&origin.tag, &origin.value) {
        (Some(_), Some(_)) => {
            let message = format!(
                "`{key}` has both `tag` and `value`: it comes from a tag, `{{ tag: NAME }}`, or is always the same, `{{ value: \"TEXT\" }}`"
            );
            report.add(path, message);
        }
        (Some(tag), None) => {
            scope.naming(tag, &join(path, "tag"), report);
        }
        (None, Some(value)) => fixed(value, origin.otherwise, path, report),
        (None, None) => nothing(key, origin.otherwise, path, report),
    }
}

fn fixed(value: &str, otherwise: Option<Else>, path: &str, report: &mut Report) {
    if value.trim().is_empty() {
        let message = "an empty text says nothing: leave it out";
        report.add(join(path, "value"), message);
    }
    if otherwise.is_some() {
        let message =
            "`else` is for a tag that is empty at times; a `value` never is: take `else` away";
        report.add(join(path, "else"), message);
    }
}

fn nothing(key: &str, otherwise: Option<Else>, path: &str, report: &mut Report) {
    let message = if otherwise.is_some() {
        format!("`else` of what? What is scanned is taken anyway: leave `{key}` out")
    } else {
        format!("`{key}` is empty: write `{{ tag: NAME }}` or `{{ value: \"TEXT\" }}`")
    };
    report.add(path, message);
}

fn check_product(
    product: &Product,
    operation: &Operation,
    scope: &Scope<'_>,
    path: &str,
    report: &mut Report,
) {
    let by_program = !product.by_program.is_empty();
    let given = [product.tag.is_some(), product.value.is_some(), by_program];
    if given.iter().filter(|given| **given).count() > 1 {
        let message = "the product comes from one place: write `tag`, `value` or `by_program`";
        report.add(path, message);
        return;
    }
    if let Some(tag) = &product.tag {
        scope.naming(tag, &join(path, "tag"), report);
    } else if let Some(value) = &product.value {
        fixed(value, product.otherwise, path, report);
    } else if !by_program {
        nothing("product", product.otherwise, path, report);
    }
    if product.unknown.is_some() && !by_program {
        let message = "`unknown` says what a program means that `by_program` does not list, and there is no `by_program`";
        report.add(join(path, "unknown"), message);
    }
    if by_program {
        let at = join(path, "by_program");
        let programs = product.by_program.len();
        at_most(MAX_PROGRAMS, "programs", programs, &at, report);
        if operation.program.is_none() {
            let message = "by which program? Write `program: { tag: NAME }` beside `product`";
            report.add(&at, message);
        }
        for (program, product) in &product.by_program {
            if product.trim().is_empty() {
                report.add(join(&at, program), "an empty text is no product");
            }
        }
    }
}

fn pieces(pieces: &Pieces, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let Pieces::Tag(from) = pieces else { return };
    let at = join(path, "pieces.tag");
    let tag = scope.tag(&from.tag, &at, report);
    if let Some(tag) = tag.filter(|tag| !matches!(tag.kind, ValueKind::Int | ValueKind::Any)) {
        let message = format!(
            "{} is {}: pieces are a whole number without `scale` and `offset`",
            shown(&from.tag),
            words(tag.kind)
        );
        report.add(at, message);
    }
}

fn part(part: &PartFrom, scope: &Scope<'_>, path: &str, report: &mut Report) {
    if let Some(tag) = &part.tag {
        scope.naming(tag, &join(path, "tag"), report);
    } else if part.read != ReadPart::Start {
        let message = "`read` says when the tag of the part is read, and there is no `tag`";
        report.add(join(path, "read"), message);
    }
    if part.kind == PartKind::Generated {
        let at = join(path, "kind");
        let message = "`generated` is what the gateway calls a part that it named itself: write `missing: generate`, and here what the machine's ids stand for, `serial`, `lot` or `carrier`";
        report.add(at, message);
    }
    if part.late_window.get() > LATE_WINDOW {
        let at = join(path, "late_window");
        let message = format!(
            "{} is too long: what ended more than {} ago cannot be corrected any more",
            String::from(part.late_window),
            String::from(Period::rounded(LATE_WINDOW))
        );
        report.add(at, message);
    }
}

fn materials(operation: &Operation, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let materials = &operation.materials;
    at_most(MAX_MATERIALS, "materials", materials.len(), path, report);
    for (at, need) in materials.iter().enumerate() {
        let path = format!("{path}.{at}");
        let before = materials.get(..at).unwrap_or_default();
        if need.id.trim().is_empty() {
            let message = "the id is empty: write the material's id as the MES knows it";
            report.add(join(&path, "id"), message);
        } else if before.iter().any(|other| other.id == need.id) {
            let message = format!(
                "{} stands here a second time: add the quantities up",
                shown(&need.id)
            );
            report.add(join(&path, "id"), message);
        }
        let quantity = need.quantity;
        if let Some(quantity) = quantity.filter(|quantity| *quantity <= 0.0) {
            let message = format!("`{quantity}` is too little: how much of it goes into one piece");
            report.add(join(&path, "quantity"), message);
        }
        if quantity.is_none() && need.unit.is_some() {
            let message = "a unit of what? Write `quantity:` beside it, for one piece";
            report.add(join(&path, "unit"), message);
        }
        if let Some(lot) = &need.lot {
            scope.naming(&lot.tag, &join(&path, "lot.tag"), report);
        }
    }
}
