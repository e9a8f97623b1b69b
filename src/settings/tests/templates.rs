//! Templates: what they make, and what is said when something in them, or in what is put into them, is wrong.

use super::{SHOP, TagSource, changed, check_in, effective, load, place_of, told};
use std::time::{Duration, Instant};

fn check(from: &str, to: &str, mark: &str, says: &str) {
    check_in(SHOP, from, to, mark, says);
}

#[test]
fn a_template_makes_a_machine_for_each_line() {
    let loaded = load(SHOP).unwrap();
    let plant = &loaded.plant;
    let names: Vec<&str> = plant.machines.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["PRESS-41", "PRESS-42", "PRESS-43"]);
    let address = |machine: usize| {
        let TagSource::Modbus(register) =
            &plant.tags[plant.machines[machine].tags["status"].index()].source
        else {
            panic!("not Modbus")
        };
        register.address
    };
    assert_eq!((address(0), address(1), address(2)), (100, 1100, 100));
    let wire = |at: usize| match &plant.devices[at].protocol {
        super::Protocol::Modbus(modbus) => modbus.wire.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        wire(0),
        wire(2),
        "two presses of one PLC share its connection"
    );
    assert_ne!(wire(0), wire(4));
    let written = effective(&loaded.file);
    assert!(
        !written.contains("template") && written.contains("PRESS-43:"),
        "{written}"
    );
    assert_eq!(load(&written).unwrap().plant.digest, plant.digest);
}

#[test]
fn a_problem_in_a_template_is_told_once_with_template_machine_and_path() {
    check(
        "status:   { holding: 100,",
        "status:   { holdng: 100,",
        "holdng",
        "template `press`, machine `PRESS-41` and 2 more machines, devices.plc.tags.status.holdng: `holdng` is not a key of `status`; did you mean `holding`?",
    );
    check(
        "tag: pressure, profile",
        "tag: presure, profile",
        "presure",
        "template `press`, machine `PRESS-41` and 2 more machines, operations.form.parameters.forming_pressure.tag: `presure` is not a tag of this machine; did you mean `pressure`?",
    );
    // One argument is wrong: only its machine is named, and the line is the template's.
    check(
        "base: 1000",
        "base: 65335",
        "200, type",
        "template `press`, machine `PRESS-42`, devices.plc.tags.pressure.input: ",
    );
    check(
        "ideal: 21s",
        "ideal: soon",
        "\"{ideal}\" }",
        "template `press`, machine `PRESS-43`, equipment.ideal_cycle.default: `soon` is not a duration",
    );
}

#[test]
fn a_warning_in_a_template_is_told_once() {
    let text = changed(SHOP, "    recovery_counter: strokes\n", "    #\n");
    let warnings = load(&text.replace("        #\n", "")).unwrap().warnings();
    let about: Vec<&str> = warnings
        .iter()
        .map(|one| one.message.as_str())
        .filter(|says| says.contains("no `recovery_counter`"))
        .collect();
    assert_eq!(about.len(), 1, "{warnings:#?}");
    assert!(about[0].starts_with(
        "template `press`, machine `PRESS-41` and 2 more machines, operations.form: no"
    ));
}

#[test]
fn arguments_fit_the_parameters() {
    check(
        ", ideal: 21s",
        "",
        "PRESS-43:",
        "`ideal` is missing in `PRESS-43`: the template `press` asks for it",
    );
    check(
        "base: 1000",
        "bse: 1000",
        "bse",
        "`bse` is no parameter of the template `press`; its parameters are host, base, scanner, ideal; did you mean `base`?",
    );
    check("base: 1000", "base: ", "base: , ", "`base` has no value");
    check(
        "PRESS-42: { template: press",
        "PRESS-42: { template: pres",
        "pres, host",
        "`pres` is not one of `templates:`; did you mean `press`?",
    );
    check(
        "PRESS-42: { template: press",
        "PRESS-42: { templat: press",
        "templat: press, host",
        "`templat` is not a key of `PRESS-42`; did you mean `template`?",
    );
    check(
        "PRESS-42: { template: press",
        "PRESS-42: { devices: {}, template: press",
        "devices: {}",
        "`PRESS-42` has both `template` and `devices`",
    );
    check(
        "PRESS-42: { template: press",
        "PRESS-42: { template: [press]",
        "template: [",
        "`template` is the name of one of `templates:`",
    );
}

#[test]
fn a_template_uses_its_parameters_and_no_others() {
    check(
        "host: \"{host}\"",
        "host: \"{hots}\"",
        "\"{hots}\"",
        "`{hots}` is no parameter of the template; braces that shall stay are doubled, {{hots}}; did you mean `{host}`?",
    );
    check(
        "default: \"{ideal}\"",
        "default: 34s",
        "ideal]",
        "`ideal` is used nowhere in the template: write \"{ideal}\" where it belongs",
    );
    check(
        "base: \"{base}\"",
        "base: {base}",
        "{base}",
        "braces without quotes are a block: write `base: \"{base}\"`",
    );
    check(
        "        tags: { scan:",
        "        tags: { \"{host}\": { line: text }, scan:",
        "\"{host}\": {",
        "`{host}` in a key: a parameter stands for a value",
    );
    for (bad, says) in [
        ("no word", "`no word` cannot be a parameter"),
        (
            "devices",
            "`devices` is a key of a machine: call the parameter otherwise",
        ),
        ("host", "`host` stands here a second time"),
    ] {
        check(
            "scanner, ideal]",
            &format!("scanner, ideal, {bad}]"),
            &format!("{bad}]"),
            says,
        );
    }
    check(
        "    parameters: [host, base, scanner, ideal]",
        "    template: other\n    parameters: [host, base, scanner, ideal]",
        "template: other",
        "a template is not made from another one: write its blocks out",
    );
    check(
        "base: \"{base}\"",
        "base: \"{base}\"\n        bases: \"{base}\"",
        "bases",
        "template `press`, machine `PRESS-41` and 2 more machines, devices.plc.bases: `bases` is not a key of `plc`",
    );
}

#[test]
fn an_argument_keeps_its_kind_alone_and_is_put_into_a_text() {
    let text = SHOP
        .replace("range: [0, 400]", "range: \"{range}\"")
        .replace("[host, base,", "[host, range, base,")
        .replace(
            "template: press, host",
            "template: press, range: [0, 300], host",
        )
        .replace("unit: bar", "unit: \"{{x}}-{base}\"");
    let plant = load(&text).unwrap().plant;
    let tag = &plant.tags[plant.machines[0].tags["pressure"].index()];
    assert_eq!(tag.conditioning.range, Some((0.0, 300.0)));
    assert_eq!(tag.unit.as_deref(), Some("{x}-0"));
    let text = text.replace("\"{{x}}-{base}\"", "\"x{range}\"");
    let told = told(&text);
    assert_eq!(told[0].0, place_of(&text, "\"x{range}\""), "{told:?}");
    assert!(
        told[0]
            .1
            .contains("`range` of `PRESS-41` is a list or a block and stands inside a text")
    );
}

#[test]
fn a_template_that_nobody_uses_is_worth_a_look() {
    let text = changed(
        SHOP,
        "machines:  ",
        "  lathe:\n    devices: {}\n\nmachines:  ",
    );
    let loaded = load(&text).unwrap();
    let warnings = loaded.warnings();
    let found = warnings
        .iter()
        .find(|one| one.message.contains("no machine is made from `lathe`"));
    assert_eq!(loaded.places.of(found.unwrap()), place_of(&text, "lathe:"));
}

#[test]
fn two_hundred_machines_are_read_fast_and_too_many_are_refused() {
    let shop = |count: usize| {
        let start = SHOP.find("  PRESS-41: {").unwrap();
        let end = SHOP.find("uplinks:").unwrap();
        let lines: String = (0..count)
            .map(|at| format!("  P-{at}: {{ template: press, host: 10.0.{}.{}, base: 0, scanner: \"10.1.{}.{}:2001\", ideal: 34s }}\n", at / 250, at % 250, at / 250, at % 250))
            .collect();
        format!("{}{lines}{}", &SHOP[..start], &SHOP[end..])
    };
    let begun = Instant::now();
    let plant = load(&shop(200)).unwrap().plant;
    assert_eq!((plant.machines.len(), plant.tags.len()), (200, 1000));
    let bad = shop(200)
        .replace("tag: strokes,", "tag: stroks,")
        .replace("u16", "u17");
    assert_eq!(told(&bad).len(), 4, "{:#?}", told(&bad));
    let many = told(&shop(1_600));
    assert!(
        many.iter()
            .any(|(_, says)| says.contains("which is more than a gateway is built for")),
        "{many:?}"
    );
    // Ten times and more what a slow machine takes without optimisation.
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}
