//! Networks: ours, because the incumbent has no interface for them (management-and-reporting.md
//! section 13).

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    NetworkId,
    catalogue::{APPLE_SEARCH_ADS, Catalogue, Entry, Network},
    fraud::Scope,
    policy::Windows,
};
use serde_json::{Value, json};

use super::{
    asked::Path,
    fields::{Fields, shown},
    fraud, next_id, rfc3339, settings, trackers,
};
use crate::http::openapi::{Refusals, bodies::NetworkBody};
use crate::{auth::Caller, clock, error::Error, site::Site};

/// The first number of networks that people make; lower ones are kept for built-in ones.
const FIRST_NUMBER: u64 = 1_001;
/// Fields that the server fills.
const OWN: [&str; 3] = ["id", "date_created", "deleted"];

/// `GET /networks`
#[utoipa::path(
    get, path = "/networks", tag = "management",
    responses((status = 200, description = "all networks", body = Value), Refusals),
    operation_id = "networks_list",
)]
pub async fn list(State(site): State<Site>, _caller: Caller) -> Json<Value> {
    let catalogue = site.catalogue.current();
    let networks = catalogue.networks();
    Json(
        networks
            .into_iter()
            .filter(|network| !network.deleted)
            .map(|network| shown_with(&site, &catalogue, network))
            .collect(),
    )
}

/// `GET /networks/{network}`
#[utoipa::path(
    get, path = "/networks/{network}", tag = "management",
    params(("network" = u64, Path, description = "the number of the network")),
    responses((status = 200, description = "the network", body = Value), Refusals),
    operation_id = "networks_get",
)]
pub async fn get(
    State(site): State<Site>,
    _caller: Caller,
    Path(network): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    Ok(Json(shown_with(&site, &catalogue, find(&catalogue, &network)?)))
}

/// `POST /networks`
#[utoipa::path(
    post, path = "/networks", tag = "management",
    request_body = NetworkBody,
    responses((status = 201, description = "the network", body = Value), Refusals),
    operation_id = "networks_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    caller.may_write_account()?;
    let now = clock::now();
    let mut network = Network {
        id: NetworkId(0),
        name: fields.required_text("name")?,
        windows: Windows::default(),
        created: now,
        deleted: false,
        extra: String::new(),
    };
    let rules = fraud::take(&mut fields)?;
    change(&mut network, fields)?;
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let last = catalogue.networks().last().map(|network| network.id.0);
        network.id = NetworkId(next_id(last, FIRST_NUMBER));
        let scope = Scope::Network(network.id);
        let (rules, answer) = fraud::entry(&site, catalogue, scope, rules, object(&network))?;
        Ok::<_, Error>(([Entry::Network(network)].into_iter().chain(rules).collect(), answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /networks/{network}`
#[utoipa::path(
    patch, path = "/networks/{network}", tag = "management",
    params(("network" = u64, Path, description = "the number of the network")),
    request_body = NetworkBody,
    responses((status = 200, description = "the network as it is now", body = Value), Refusals),
    operation_id = "networks_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(network): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut network = Network::clone(find(catalogue, &network)?);
        fields.changed_text("name", &mut network.name)?;
        let rules = fraud::take(&mut fields)?;
        change(&mut network, fields)?;
        let scope = Scope::Network(network.id);
        let (rules, answer) = fraud::entry(&site, catalogue, scope, rules, object(&network))?;
        Ok::<_, Error>(([Entry::Network(network)].into_iter().chain(rules).collect(), answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /networks/{network}`: refused while trackers use it.
#[utoipa::path(
    delete, path = "/networks/{network}", tag = "management",
    params(("network" = u64, Path, description = "the number of the network")),
    responses((status = 200, description = "the network as it was", body = Value), Refusals),
    operation_id = "networks_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path(network): Path<String>,
) -> Result<Json<Value>, Error> {
    caller.may_write_account()?;
    let answer = site.catalogue.change(clock::now(), Some(caller.key()), |catalogue| {
        let mut network = Network::clone(find(catalogue, &network)?);
        if network.id == APPLE_SEARCH_ADS {
            return Err(Error::Conflict("this network is always there; installs can name it".to_owned()));
        }
        let used =
            catalogue.trackers().iter().any(|tracker| !tracker.deleted && tracker.network == network.id);
        if used {
            return Err(Error::Conflict("the network has trackers; delete them first".to_owned()));
        }
        network.deleted = true;
        let answer = object(&network);
        Ok((vec![Entry::Network(network)], answer))
    });
    Ok(Json(answer.await?))
}

/// The network of a number in a path; 404 when it is unknown or deleted.
pub fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c Network, Error> {
    let network = id.parse().ok().and_then(|id| catalogue.network(id)).filter(|network| !network.deleted);
    network.map(AsRef::as_ref).ok_or(Error::NotFound("network"))
}

fn change(network: &mut Network, mut fields: Fields) -> Result<(), Error> {
    if let Some(settings) = fields.object("settings")? {
        settings::change_network(&mut network.windows, settings)?;
    }
    trackers::links::check_macros(&fields)?;
    fields.without(&OWN);
    let mut kept = Fields::kept(&network.extra);
    kept.merge(fields);
    network.extra = kept.into_text();
    Ok(())
}

fn shown_with(site: &Site, catalogue: &Catalogue, network: &Network) -> Value {
    fraud::shown(site, catalogue, Scope::Network(network.id), object(network))
}

pub(super) fn object(network: &Network) -> Value {
    let known = json!({
        "id": network.id, "name": network.name, "date_created": rfc3339(network.created),
        "deleted": network.deleted, "settings": settings::of_network(network.windows),
    });
    shown(json!({ "id": 0, "name": "" }), &network.extra, known)
}
