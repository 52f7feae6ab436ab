//! Settings of a network within one app: ours, because the incumbent has them in its console only
//! (tracking-and-attribution.md section 6).

use axum::{Json, extract::State};
use measure::{
    catalogue::{App, AppNetwork, Catalogue, Entry, Network},
    fraud::{FraudSettings, Scope},
    policy::Windows,
};
use serde_json::{Value, json};

use super::{
    apps,
    asked::Path,
    fields::Fields,
    fraud, networks,
    openapi::{Refusals, bodies::AppNetworkBody},
    settings,
};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// `GET /apps/{app}/networks`: the networks that have settings of their own in the app.
#[utoipa::path(
    get, path = "/apps/{app}/networks", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    responses((status = 200, description = "the networks with settings of their own in the app", body = Value), Refusals),
    operation_id = "app_networks_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let networks = catalogue.networks();
    let rows = networks.into_iter().filter(|network| !network.deleted).filter_map(|network| {
        let scope = Scope::NetworkInApp(app.id, network.id);
        let windows = windows(&catalogue, app, network);
        let rules = catalogue.fraud(scope).is_some_and(|rules| **rules != FraudSettings::default());
        let has_some = windows != Windows::default() || rules;
        has_some.then(|| fraud::shown(&site, &catalogue, scope, object(app, network, windows)))
    });
    Ok(Json(rows.collect()))
}

/// `GET /apps/{app}/networks/{network}`
#[utoipa::path(
    get, path = "/apps/{app}/networks/{network}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("network" = u64, Path, description = "the number of the network")),
    responses((status = 200, description = "the settings of the network in the app", body = Value), Refusals),
    operation_id = "app_networks_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path((app, network)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let (app, network) = (apps::find(&catalogue, &app)?, networks::find(&catalogue, &network)?);
    caller.may_read(app.id)?;
    let answer = object(app, network, windows(&catalogue, app, network));
    Ok(Json(fraud::shown(&site, &catalogue, Scope::NetworkInApp(app.id, network.id), answer)))
}

/// `PATCH /apps/{app}/networks/{network}` with `settings`
#[utoipa::path(
    patch, path = "/apps/{app}/networks/{network}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app"), ("network" = u64, Path, description = "the number of the network")),
    request_body = AppNetworkBody,
    responses((status = 200, description = "the settings as they are now", body = Value), Refusals),
    operation_id = "app_networks_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path((app, network)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let (app, network) = (apps::find(catalogue, &app)?, networks::find(catalogue, &network)?);
        caller.may_write(app.id)?;
        let mut windows = windows(catalogue, app, network);
        let rules = fraud::take(&mut fields)?;
        if let Some(settings) = fields.object("settings")? {
            settings::change_network(&mut windows, settings)?;
        }
        fields.without(&["app_id", "network_id", "name"]);
        if let Some((key, _)) = fields.rest().next() {
            return Err(Error::BadRequest(format!("{key}: there is no such field here; send settings")));
        }
        let scope = Scope::NetworkInApp(app.id, network.id);
        let (rules, answer) = fraud::entry(&site, catalogue, scope, rules, object(app, network, windows))?;
        let own = AppNetwork { app: app.id, network: network.id, windows };
        Ok::<_, Error>(([Entry::AppNetwork(own)].into_iter().chain(rules).collect(), answer))
    });
    Ok(Json(answer.await?))
}

/// The settings as the audit log shows them.
#[must_use]
pub fn recorded(own: &AppNetwork) -> Value {
    json!({
        "app_id": own.app, "network_id": own.network, "settings": settings::of_network(own.windows),
    })
}

fn windows(catalogue: &Catalogue, app: &App, network: &Network) -> Windows {
    catalogue.app_network(app.id, network.id).map(|own| own.windows).unwrap_or_default()
}

fn object(app: &App, network: &Network, windows: Windows) -> Value {
    json!({
        "app_id": app.id, "network_id": network.id, "name": network.name,
        "settings": settings::of_network(windows),
    })
}
