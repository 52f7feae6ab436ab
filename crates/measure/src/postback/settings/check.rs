//! Whether what a template has for the context of its triggers can be used.

use super::{
    super::{Sending, Template, Trigger, TriggerKind, validate},
    idle,
};
use crate::{AppId, Timestamp, TriggerId, event::Value};

/// Keys that only a trigger can set, because they are kept apart from its context.
const OF_TRIGGERS: [&str; 1] = ["sx_signing_secret"];

/// Checks what a template has for the context of its triggers: no trigger may be refused for a key that it
/// leaves to the template, or for a value that the template offers for it.
///
/// # Errors
///
/// The context key that is wrong, and what it must be, as [`validate`] says it.
pub fn check_template(template: &Template) -> Result<(), String> {
    let inputs = template.inputs.iter().map(|input| &input.id);
    if let Some(wrong) = inputs.chain(template.defaults.iter().map(|(key, _)| key)).find_map(|key| idle(key))
    {
        return Err(wrong);
    }
    for (key, _) in &template.defaults {
        if OF_TRIGGERS.contains(&key.as_str()) {
            return Err(format!("context.{key}: is set by triggers only; ask for it as an input"));
        }
        if template.input(key).is_some_and(|input| input.default.is_some()) {
            return Err(format!("context.{key}: is an input with a default of its own; change that one"));
        }
    }
    validate(&blank(template), Some(template))?;
    for input in &template.inputs {
        for (option, _) in &input.options {
            let mut trigger = blank(template);
            trigger.context.insert(0, (input.id.clone(), option.clone()));
            validate(&trigger, Some(template))?;
        }
    }
    Ok(())
}

/// A trigger that leaves to its template whatever that has. What no template can know is made up: the URL that
/// it asks for, and the network.
fn blank(template: &Template) -> Trigger {
    let url = |key: &str| (key.to_owned(), Value::Text("https://partner.example/".to_owned()));
    let asked = template.inputs.iter().filter(|input| input.is_destination());
    let network = ("sx_network_id".to_owned(), Value::Number("1".to_owned()));
    let made_up = asked.map(|input| url(&input.id)).chain([network]);
    Trigger {
        id: TriggerId(1),
        version: 1,
        app: AppId(1),
        kind: template.kinds.first().copied().unwrap_or(TriggerKind::Install),
        title: String::new(),
        template: template.id,
        filter: None,
        active: false,
        context: made_up.filter(|(key, _)| template.default_of(key).is_none()).collect(),
        created: Timestamp(0),
        deleted: false,
        sending: Sending::default(),
    }
}
