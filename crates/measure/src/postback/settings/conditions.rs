//! Conditions beyond kind and name: `sx_filter`, look-back windows, caps (postbacks.md sections 4, 7).

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::super::{Template, Trigger, TriggerKind, plan::Conversion};
use super::read::Context;
use crate::{
    AppId,
    catalogue::Catalogue,
    time::{DAY_MS, HOUR_MS},
};

/// The most that `sx_rate_cap` can ask for.
const CAP_MAX: u32 = 1_000_000;
/// Conditions on parameters of one trigger, at most.
const PARAMETERS_MAX: usize = 16;
/// Days of a look-back window, at most.
const LOOKBACK_DAYS_MAX: i64 = 365;

/// `sx_filter`: all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// At least this much revenue; events without any have too little.
    min_revenue: Option<Decimal>,
    /// Parameters of the event that must have these values, as text.
    parameters: Vec<(String, String)>,
    /// Whether somebody won the install, or nobody.
    attributed: Option<bool>,
    /// Only the first event of its name on a device.
    first: bool,
}

impl Condition {
    pub fn of(context: &Context<'_>) -> Result<Option<Self>, String> {
        let Some(object) = context.object("sx_filter")? else { return Ok(None) };
        let mut condition = Self::default();
        for (name, value) in object {
            let wrong = |what: &str| Err(format!("context.sx_filter.{name}: {what}"));
            match (name.as_str(), value) {
                ("min_revenue", Json::Number(number)) => {
                    let Ok(number) = number.to_string().parse() else { return wrong("must be a number") };
                    condition.min_revenue = Some(number);
                }
                ("min_revenue", Json::String(text)) => {
                    let Ok(number) = text.trim().parse() else { return wrong("must be a number") };
                    condition.min_revenue = Some(number);
                }
                ("min_revenue", _) => return wrong("must be a number"),
                ("parameters", Json::Object(parameters)) if parameters.len() <= PARAMETERS_MAX => {
                    condition.parameters = parameters
                        .into_iter()
                        .map(|(key, value)| match value {
                            Json::String(text) => (key, text),
                            other => (key, other.to_string()),
                        })
                        .collect();
                }
                ("parameters", _) => return wrong("must be an object of at most 16 names and values"),
                ("attributed", Json::Bool(flag)) => condition.attributed = Some(flag),
                ("first", Json::Bool(flag)) => condition.first = flag,
                ("attributed" | "first", _) => return wrong("must be true or false"),
                _ => return wrong("must be min_revenue, parameters, attributed or first"),
            }
        }
        Ok(Some(condition))
    }

    /// Whether a conversion meets it. What only events have does not hold for anything else.
    pub fn holds(&self, conversion: &Conversion<'_>) -> bool {
        let event = conversion.event;
        let rich = self.min_revenue.is_none_or(|least| conversion.revenue().is_some_and(|sum| sum >= least));
        let alike = self.parameters.iter().all(|(key, wanted)| {
            let params = event.map(|event| event.params.as_slice()).unwrap_or_default();
            params.iter().any(|(name, value)| name == key && value.text() == wanted)
        });
        let attributed = conversion.click.is_some() || conversion.source.is_some();
        rich && alike
            && self.attributed.is_none_or(|wanted| wanted == attributed)
            && !(self.first && event.is_some() && conversion.past.repeated)
    }
}

/// Whether a live trigger of the app wants only the first event of this name of a device.
#[must_use]
pub fn asks_for_first(catalogue: &Catalogue, app: AppId, name: &str) -> bool {
    catalogue.triggers_of(app).any(|trigger| {
        let context = Context { trigger, template: catalogue.template(trigger.template).map(AsRef::as_ref) };
        trigger.kind == TriggerKind::Event
            && trigger.active
            && trigger.filter.as_deref().is_none_or(|filter| filter.is_empty() || filter == name)
            && context.value("sx_filter").is_some()
            && Condition::of(&context).is_ok_and(|condition| condition.is_some_and(|it| it.first))
    })
}

/// How long before an install its match may lie for the partner to hear of it: the `…_lookback_window`
/// inputs of its template, milliseconds (postbacks.md section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookback {
    device_ms: Option<i64>,
    modeled_ms: Option<i64>,
}

impl Lookback {
    pub fn of(context: &Context<'_>) -> Result<Self, String> {
        let window = |end: &str| {
            let given = context.trigger.context.iter().map(|(key, _)| key.as_str());
            let inputs = context.template.map(|template| template.inputs.as_slice()).unwrap_or_default();
            let mut keys = given.chain(inputs.iter().map(|input| input.id.as_str()));
            let Some(key) = keys.find(|key| key.starts_with("cpi_") && key.ends_with(end)) else {
                return Ok(None);
            };
            match context.number(key, 1, LOOKBACK_DAYS_MAX, 0)? {
                0 => Ok(None),
                days => Ok::<_, String>(Some(days * DAY_MS)),
            }
        };
        Ok(Self {
            device_ms: window("_device_id_lookback_window")?,
            modeled_ms: window("_fingerprint_lookback_window")?,
        })
    }

    /// Whether the match that a conversion goes back to lies inside.
    pub fn covers(&self, conversion: &Conversion<'_>) -> bool {
        let (Some(source), Some(installed)) = (conversion.source, conversion.installed) else { return true };
        let window = match source.class.as_str() {
            "device_id" | "referrer" | "ko_click_id" => self.device_ms,
            "modeled" | "ip" | "partial_ip" => self.modeled_ms,
            _ => None,
        };
        window.is_none_or(|window| installed.since(source.time) <= window)
    }
}

/// How much a trigger may send in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Postbacks.
    pub most: u32,
    /// Milliseconds: an hour or a day, counted from midnight UTC.
    pub within_ms: i64,
}

/// `sx_rate_cap` of a trigger: `100/hour`, `5000/day`. One that cannot be read is none.
#[must_use]
pub fn cap(trigger: &Trigger, template: Option<&Template>) -> Option<Cap> {
    cap_of(&Context { trigger, template }).ok().flatten()
}

pub fn cap_of(context: &Context<'_>) -> Result<Option<Cap>, String> {
    let Some(text) = context.text("sx_rate_cap") else { return Ok(None) };
    let read = || {
        let (most, unit) = text.split_once('/')?;
        let most = most.trim().parse().ok().filter(|most| (1..=CAP_MAX).contains(most))?;
        let within_ms = match unit.trim() {
            "hour" => HOUR_MS,
            "day" => DAY_MS,
            _ => return None,
        };
        Some(Cap { most, within_ms })
    };
    read().map(Some).ok_or_else(|| {
        format!("context.sx_rate_cap: must be a number from 1 to {CAP_MAX} and hour or day, as in 100/hour")
    })
}
