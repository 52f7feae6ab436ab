//! Templates: what triggers can be made from (postbacks.md section 2).

use axum::{Json, extract::State};
use measure::{
    AppId,
    catalogue::Catalogue,
    postback::{Template, missing},
};
use serde::Deserialize;
use serde_json::Value;
use wire::partner::shown;

use super::{
    super::{
        apps,
        asked::{Path, Query},
        openapi::Refusals,
    },
    Page,
};
use crate::{auth::Caller, error::Error, site::Site};

/// How templates are asked for.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// Of this platform instead of the app's.
    platform: Option<String>,
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

impl Asked {
    fn page(&self) -> Page {
        Page { page_token: self.page_token.clone() }
    }
}

/// `GET /apps/{app}/postbacks/templates`: the templates that suit the platform of the app.
#[utoipa::path(
    get, path = "/apps/{app}/postbacks/templates", tag = "postbacks",
    params(("app" = u64, Path, description = "the number of the app"), ("platform" = Option<String>, Query, description = "another platform than the app's"), ("pageToken" = Option<String>, Query, description = "1 turns paging on, 50 rows a page")),
    responses((status = 200, description = "the templates, in the envelope", body = Value), Refusals),
    operation_id = "templates_list",
)]
pub async fn list(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let platform = asked.platform.as_deref().unwrap_or(&app.platform);
    asked.page().of(offered(&catalogue, platform).map(shown).collect())
}

/// `GET /apps/{app}/postbacks/incomplete`: the templates that still need something set up for the app: they
/// ask for something, and no trigger of the app has all of it, or one lacks a part.
#[utoipa::path(
    get, path = "/apps/{app}/postbacks/incomplete", tag = "postbacks",
    params(("app" = u64, Path, description = "the number of the app"), ("platform" = Option<String>, Query, description = "another platform than the app's"), ("pageToken" = Option<String>, Query, description = "1 turns paging on, 50 rows a page")),
    responses((status = 200, description = "the templates that need something, in the envelope", body = Value), Refusals),
    operation_id = "templates_incomplete",
)]
pub async fn incomplete(
    State(site): State<Site>,
    caller: Caller,
    Path(app): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    let catalogue = site.catalogue.current();
    let app = apps::find(&catalogue, &app)?;
    caller.may_read(app.id)?;
    let platform = asked.platform.as_deref().unwrap_or(&app.platform);
    let open = offered(&catalogue, platform).filter(|template| is_incomplete(&catalogue, app.id, template));
    asked.page().of(open.map(shown).collect())
}

fn offered<'c>(catalogue: &'c Catalogue, platform: &str) -> impl Iterator<Item = &'c Template> {
    let all = catalogue.templates().into_iter();
    let suiting = all.filter(move |template| !template.retired && template.suits(platform));
    suiting.map(AsRef::as_ref).collect::<Vec<_>>().into_iter()
}

fn is_incomplete(catalogue: &Catalogue, app: AppId, template: &Template) -> bool {
    let mut made = catalogue.triggers_of(app).filter(|trigger| trigger.template == template.id).peekable();
    template.asks()
        && (made.peek().is_none() || made.any(|trigger| !missing(trigger, Some(template)).is_empty()))
}
