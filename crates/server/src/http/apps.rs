//! Apps (management-and-reporting.md section 2, DECISIONS 27).

use axum::{Json, extract::State, http::StatusCode};
use measure::{
    AppId,
    catalogue::{App, AuthMode, BrowserSettings, Catalogue, Entry, InstallAuth},
    fraud::Scope,
    platform::{PLATFORMS, named},
    policy::AppPolicy,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asked::{Path, Query},
    browser,
    fields::{Fields, shown},
    fraud, next_id, postbacks, rfc3339, settings, slug,
};
use crate::http::openapi::{Refusals, bodies::AppBody};
use crate::{auth::Caller, clock, error::Error, site::Site, vault::Vault};

/// Rows of a page.
const PAGE_ROWS: usize = 50;

/// Actions that install authentication can cover.
const ACTIONS: [&str; 4] = ["install", "event", "update", "identityLink"];

/// How the list is asked for.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    app_selector: Option<String>,
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

/// `GET /apps`
#[utoipa::path(
    get, path = "/apps", tag = "management",
    params(("app_selector" = Option<bool>, Query, description = "`true`: only id, GUID, name and platform"), ("pageToken" = Option<String>, Query, description = "1 turns paging on, 50 rows a page")),
    responses((status = 200, description = "the apps that the key reaches: an array, or with `pageToken` a page", body = Value), Refusals),
    operation_id = "apps_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let short = query.app_selector.as_deref() == Some("true");
    let all = catalogue.apps();
    let apps = all.into_iter().filter(|app| !app.deleted && caller.reaches(app.id));
    let rows: Vec<Value> = apps
        .map(|app| {
            if short {
                json!({ "id": app.id, "guid": app.guid, "name": app.name, "platform": app.platform })
            } else {
                fraud::shown(&site, &catalogue, Scope::App(app.id), object(app, None))
            }
        })
        .collect();
    let Some(token) = query.page_token else { return Ok(Json(Value::Array(rows))) };
    let page: usize = token.parse().ok().filter(|page| *page >= 1).ok_or_else(|| {
        Error::BadRequest("pageToken: must be 1, or what nextToken or previousToken said".to_owned())
    })?;
    let pages = rows.len().div_ceil(PAGE_ROWS);
    let data: Vec<Value> =
        rows.into_iter().skip((page - 1).saturating_mul(PAGE_ROWS)).take(PAGE_ROWS).collect();
    let next = (page < pages).then(|| (page + 1).to_string());
    let previous = (page > 1).then(|| (page - 1).min(pages.max(1)).to_string());
    Ok(Json(json!({ "success": true, "data": data, "nextToken": next, "previousToken": previous })))
}

/// `GET /apps/{app}`
#[utoipa::path(
    get, path = "/apps/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    responses((status = 200, description = "the app", body = Value), Refusals),
    operation_id = "apps_get",
)]
pub async fn get(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    Ok(Json(fraud::shown(&site, &catalogue, Scope::App(app.id), object(app, None))))
}

/// `POST /apps`
#[utoipa::path(
    post, path = "/apps", tag = "management",
    request_body = AppBody,
    responses((status = 201, description = "the app; a generated secret is shown only here", body = Value), Refusals),
    operation_id = "apps_create",
)]
pub async fn create(
    State(site): State<Site>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), Error> {
    caller.may_write_account()?;
    let now = clock::now();
    let name = fields.required_text("name")?;
    let platform = platform(&fields.required_text("platform")?)?;
    let wanted = fields.text("guid")?.filter(|guid| !guid.is_empty()).map(checked_guid).transpose()?;
    let mut app = App {
        id: AppId(0),
        guid: String::new(),
        name,
        platform,
        referrer: measure::referrer::ReferrerKeys::default(),
        schemes: Vec::new(),
        auth: InstallAuth::default(),
        policy: AppPolicy::default(),
        created: now,
        updated: now,
        deleted: false,
        extra: String::new(),
        minimum_times: std::collections::BTreeMap::new(),
        browser: BrowserSettings::default(),
    };
    let rules = fraud::take(&mut fields)?;
    let secret = change(&mut app, fields, &site.vault)?;
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        app.id = AppId(next_id(catalogue.apps().last().map(|app| app.id.0), 1));
        app.guid = match wanted {
            // Senders name an app by either, so no text may be both.
            Some(guid) if catalogue.app_guid_taken(&guid) || catalogue.source_by_key(&guid).is_some() => {
                return Err(Error::Conflict(format!("guid: {guid} is taken; choose another one or none")));
            }
            Some(guid) => guid,
            None => format!("ko{}-{}", slug(&app.name), clock::random_hex::<5>()),
        };
        let answer = object(&app, secret.as_deref());
        let (rules, answer) = fraud::entry(&site, catalogue, Scope::App(app.id), rules, answer)?;
        Ok(([Entry::App(app)].into_iter().chain(rules).collect(), answer))
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
}

/// `PATCH /apps/{app}`
#[utoipa::path(
    patch, path = "/apps/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    request_body = AppBody,
    responses((status = 200, description = "the app as it is now", body = Value), Refusals),
    operation_id = "apps_update",
)]
pub async fn update(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let mut app = App::clone(find(catalogue, &app)?);
        caller.may_write(app.id)?;
        fields.changed_text("name", &mut app.name)?;
        if let Some(name) = fields.text("platform")? {
            app.platform = platform(&name)?;
        }
        if let Some(guid) = fields.text("guid")?.filter(|guid| *guid != app.guid) {
            // Senders and links name an app by its GUID, so it stays; the answer says which mistake it was.
            return Err(if catalogue.app_guid_taken(&guid) {
                Error::Conflict(format!("guid: {guid} belongs to another app"))
            } else {
                Error::BadRequest(format!("guid: {guid} is another one; it cannot be changed"))
            });
        }
        app.updated = now;
        let rules = fraud::take(&mut fields)?;
        let secret = change(&mut app, fields, &site.vault)?;
        let answer = object(&app, secret.as_deref());
        let (rules, answer) = fraud::entry(&site, catalogue, Scope::App(app.id), rules, answer)?;
        Ok(([Entry::App(app)].into_iter().chain(rules).collect(), answer))
    });
    Ok(Json(answer.await?))
}

/// `DELETE /apps/{app}`: its data stays, its GUID is taken for ever. Its triggers are deleted with it, which nothing
/// could be told to stop any more.
#[utoipa::path(
    delete, path = "/apps/{app}", tag = "management",
    params(("app" = u64, Path, description = "the number of the app")),
    responses((status = 200, description = "the app as it was", body = Value), Refusals),
    operation_id = "apps_delete",
)]
pub async fn delete(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
) -> Result<Json<Value>, Error> {
    let now = clock::now();
    let answer = site.catalogue.change(now, Some(caller.key()), |catalogue| {
        let mut app = App::clone(find(catalogue, &app)?);
        caller.may_write(app.id)?;
        (app.deleted, app.updated) = (true, now);
        let triggers: Vec<_> =
            catalogue.triggers_of(app.id).map(|trigger| postbacks::deleted(trigger)).collect();
        let ids: Vec<_> = triggers.iter().map(|trigger| trigger.id).collect();
        let answer = object(&app, None);
        let entries = triggers.into_iter().map(Entry::Trigger).chain([Entry::App(app)]);
        Ok::<_, Error>((entries.collect(), (answer, ids)))
    });
    let (answer, triggers) = answer.await?;
    for trigger in triggers {
        site.ask(move |store| store.withdraw(trigger)).await?;
    }
    Ok(Json(answer))
}

/// The app that a path names by its number; 404 when it is unknown or deleted.
pub fn find<'c>(catalogue: &'c Catalogue, id: &str) -> Result<&'c App, Error> {
    let app = id.parse().ok().and_then(|id| catalogue.app(id)).filter(|app| !app.deleted);
    app.map(AsRef::as_ref).ok_or(Error::NotFound("app"))
}

/// Takes in what create and update have in common. The answer is a generated secret, to be shown once.
fn change(app: &mut App, mut fields: Fields, vault: &Vault) -> Result<Option<String>, Error> {
    let generated = match fields.object("install_auth")? {
        Some(auth) => change_auth(&mut app.auth, auth, vault)?,
        None => None,
    };
    if app.auth.mode == AuthMode::Strict && app.is_web() {
        let text = "install_auth: a Web app cannot be strict, because browsers keep no secrets; use flag";
        return Err(Error::BadRequest(text.to_owned()));
    }
    if let Some(mut settings) = fields.object("settings")? {
        settings::take_minimum_times(&mut app.minimum_times, &mut settings)?;
        browser::change(&mut app.browser, &mut settings)?;
        settings::change_app(app, settings)?;
    }
    fields.without(&["id", "guid", "registered", "updated", "deleted"]);
    // Secrets that nothing here uses are not kept at all.
    fields.retain(|key| !is_secret(key));
    let mut kept = Fields::kept(&app.extra);
    kept.merge(fields);
    app.extra = kept.into_text();
    Ok(generated)
}

fn change_auth(auth: &mut InstallAuth, mut fields: Fields, vault: &Vault) -> Result<Option<String>, Error> {
    if let Some(mode) = fields.text("mode")? {
        auth.mode = match mode.as_str() {
            "off" => AuthMode::Off,
            "flag" => AuthMode::Flag,
            "strict" => AuthMode::Strict,
            _ => return Err(Error::BadRequest("install_auth.mode: must be off, flag or strict".to_owned())),
        };
    }
    if let Some(key) = fields.text("api_key")?.filter(|key| !key.is_empty()) {
        auth.api_key = Some(key);
    }
    match fields.take("actions") {
        None => {}
        Some(Value::Array(actions))
            if actions
                .iter()
                .all(|action| action.as_str().is_some_and(|action| ACTIONS.contains(&action))) =>
        {
            auth.actions = actions.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        Some(_) => {
            let text = format!("install_auth.actions: must be a list of {}", ACTIONS.join(", "));
            return Err(Error::BadRequest(text));
        }
    }
    let given = fields.text("secret")?.filter(|secret| !secret.is_empty());
    if let Some((key, _)) = fields.rest().next() {
        return Err(Error::BadRequest(format!("install_auth.{key}: there is no such field")));
    }
    let seal = |secret: &str| vault.seal(secret).map_err(|_| Error::Internal("a secret cannot be sealed"));
    if let Some(secret) = given {
        auth.secret = Some(seal(&secret)?);
    }
    if auth.mode == AuthMode::Off {
        return Ok(None);
    }
    if auth.api_key.is_none() {
        auth.api_key = Some(clock::new_key());
    }
    if auth.secret.is_some() {
        return Ok(None);
    }
    let secret = clock::random_hex::<32>();
    auth.secret = Some(seal(&secret)?);
    Ok(Some(secret))
}

/// The platform of that name, however its letters are cased.
fn platform(name: &str) -> Result<String, Error> {
    let text = || Error::BadRequest(format!("platform: must be one of {}", PLATFORMS.join(", ")));
    named(name).map(str::to_owned).ok_or_else(text)
}

fn checked_guid(guid: String) -> Result<String, Error> {
    let usable =
        guid.len() <= 128 && guid.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let text = "guid: must have at most 128 letters, digits, `-`, `_` or `.`";
    if usable { Ok(guid) } else { Err(Error::BadRequest(text.to_owned())) }
}

fn is_secret(key: &str) -> bool {
    key.ends_with("_auth") || key.ends_with("_secret_key")
}

/// The settings that an app has set for itself.
fn settings_of(app: &App) -> Value {
    let mut settings = settings::of_app(app);
    settings::show_minimum_times(&app.minimum_times, &mut settings);
    if let Some(fields) = settings.as_object_mut() {
        fields.extend(browser::shown(&app.browser));
    }
    settings
}

/// An app as it is shown; a generated secret only once.
pub(super) fn object(app: &App, secret: Option<&str>) -> Value {
    let mode = match app.auth.mode {
        AuthMode::Off => "off",
        AuthMode::Flag => "flag",
        AuthMode::Strict => "strict",
    };
    let shape = json!({
        "id": 0, "guid": "", "package_code": null, "path": null, "cluster_analytics": false,
        "cluster_control": false, "registered": "", "updated": "", "session_tracking": "full",
        "traffic_processing": "active", "ibeacon_enabled": false, "deleted": false, "push_enabled": false,
        "sms_enabled": false, "app_universal_link_enabled": false, "fraud_blacklist": false, "name": "",
        "platform": "", "sku": null, "integration_type": null, "facebook_app_id": null,
        "kochava_app_url": null, "app_store_id": null, "twilio_account_sid": null,
        "twilio_basic_auth": null, "twilio_from_number": null, "aws_region": null, "aws_bucket": null,
        "aws_access_key": null, "aws_secret_key": null, "request_time_pref": null,
        "overwrite_origination_ip": false, "use_short_version_string": false, "api_access_enabled": true,
        "currency_processing": null, "sdk_blacklist_mac": false, "sdk_blacklist_odin": false,
    });
    let known = json!({
        "id": app.id, "guid": app.guid, "registered": rfc3339(app.created), "updated": rfc3339(app.updated),
        "deleted": app.deleted, "name": app.name, "platform": app.platform,
        "install_auth": {
            "mode": mode, "api_key": app.auth.api_key, "secret": secret, "actions": app.auth.actions,
        },
        "settings": settings_of(app),
    });
    shown(shape, &app.extra, known)
}
