//! The licences of the packages of which the programs are made.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// The packages of others that are used on this platform, as cargo knows them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let Value::Array(packages) = metadata["packages"].take() else { panic!("packages are a list") };
    // The packages of the workspace have no other source.
    packages.into_iter().filter(|package| !package["source"].is_null()).collect()
}

fn words(value: &toml::Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

/// `deny.toml` says which licences go with the project's own. `cargo xtask deny` checks more, and needs cargo-deny.
#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let rules: toml::Table = include_str!("../../../../deny.toml").parse().expect("deny.toml is TOML");
    let licences = &rules["licenses"];
    let allowed = words(&licences["allow"]);
    let exceptions: Vec<&toml::Value> = licences["exceptions"].as_array().into_iter().flatten().collect();
    let mut refused = Vec::new();
    for package in packages() {
        let (name, licence) = (package["name"].as_str(), package["license"].as_str());
        let excepted = exceptions.iter().filter(|exception| exception["crate"].as_str() == name);
        let also: Vec<&str> = excepted.flat_map(|exception| words(&exception["allow"])).collect();
        let allows = |licence: &spdx::LicenseReq| {
            let id = licence.license.id().map(|id| id.name);
            id.is_some_and(|id| licence.exception.is_none() && (allowed.contains(&id) || also.contains(&id)))
        };
        let expression = licence.and_then(|licence| Expression::parse_mode(licence, ParseMode::LAX).ok());
        if !expression.is_some_and(|expression| expression.evaluate(allows)) {
            refused.push(format!("{}: {}", name.unwrap_or("?"), licence.unwrap_or("no licence")));
        }
    }
    assert!(refused.is_empty(), "deny.toml does not allow the licences of {}", refused.join(", "));
}
