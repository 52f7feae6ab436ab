//! The description of the interface, `GET /openapi.json`: gathered from the attributes of the handlers while
//! the router is made, so that no path is served by one and described by another.

pub mod bodies;

use std::collections::BTreeMap;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    IntoResponses, OpenApi,
    openapi::{
        ContentBuilder, HeaderBuilder, Ref, RefOr, ResponseBuilder, Schema,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
        security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
    },
};

use crate::auth;

/// The name of the one security scheme.
const KEY: &str = "management_key";

/// The parts that are served without a management key.
const OPEN: [&str; 2] = ["ingest", "server"];

/// What the parts of the interface are for, in the order of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sextant",
        description = "A mobile measurement server: what senders, networks and browsers call, and what its owners ask. \
            Fields that are not listed are kept and given back where they belong to a thing that is managed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "ingest", description = "What senders, networks, browsers and devices send. No key; an app can ask for signed calls."),
        (name = "management", description = "Apps, networks, campaigns, segments, trackers."),
        (name = "postbacks", description = "Which postbacks are sent."),
        (name = "fraud", description = "Blocklists."),
        (name = "record", description = "What became of what was sent."),
        (name = "privacy", description = "Requests of people to erase or to see what is on record of them."),
        (name = "team", description = "Members, keys, and the log of every change."),
        (name = "server", description = "Whether the program lives and works."),
    ),
)]
struct Document;

/// The document before any path is in it.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let header = ApiKeyValue::with_description(auth::HEADER, "a management key");
    components.responses.extend([REFUSALS, UNTAKEN].iter().flat_map(|set| {
        set.described().map(|(name, response)| (name, RefOr::T(response))).collect::<Vec<_>>()
    }));
    components.add_security_scheme(KEY, SecurityScheme::ApiKey(ApiKey::Header(header)));
    document
}

/// The document as it is served, and as it lies in the repository.
pub fn text(mut document: utoipa::openapi::OpenApi) -> String {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let tags = operation.tags.as_deref().unwrap_or_default();
            if !tags.iter().any(|tag| OPEN.contains(&tag.as_str())) {
                operation.security = Some(vec![SecurityRequirement::new(KEY, Vec::<String>::new())]);
            }
        }
    }
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// `GET /openapi.json`
pub fn served(document: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_owned()).into_response()
}

/// A set of answers, described once and named wherever a call can be answered so.
struct Answers {
    prefix: &'static str,
    /// The type of the field `success`, and the field that says why, with its type.
    success: Type,
    why: (&'static str, Type),
    statuses: &'static [(u16, &'static str)],
}

/// What every call with a management key may be answered with when it is not done.
const REFUSALS: Answers = Answers {
    prefix: "Refused",
    success: Type::Boolean,
    why: ("errors", Type::Array),
    statuses: &[
        (400, "the request cannot be understood, or is not allowed to say this"),
        (401, "no key, or one that is not known"),
        (403, "the key may not do this"),
        (404, "there is no such thing"),
        (405, "the path does not know that method"),
        (408, "the body did not arrive in time"),
        (409, "it collides with what is there"),
        (413, "the body is too large"),
        (500, "a fault of the server"),
        (503, "busy, storage unavailable, or not done in time"),
    ],
};

/// What a sender may be answered with when its call was not taken (ingest.md section 16).
const UNTAKEN: Answers = Answers {
    prefix: "Untaken",
    success: Type::String,
    why: ("error", Type::String),
    statuses: &[
        (400, "not usable; the body is in quarantine with the reason"),
        (401, "the app takes only signed calls"),
        (404, "no such app or tracker"),
        (405, "the path does not know that method"),
        (408, "the body did not arrive in time"),
        (409, "the same idempotency key came with another body before"),
        (410, "the data of this device was erased on request: nothing more of it is taken"),
        (413, "the body is too large"),
        (429, "more calls than the app's limit"),
        (500, "a fault of the server"),
        (503, "busy, or storage unavailable"),
    ],
};

impl Answers {
    fn name(&self, status: u16) -> String {
        format!("{}{status}", self.prefix)
    }

    /// The answers in full, for the components of the document.
    fn described(&self) -> impl Iterator<Item = (String, utoipa::openapi::Response)> {
        let of_type = |kind: &Type| ObjectBuilder::new().schema_type(SchemaType::Type(kind.clone()));
        let (why, kind) = &self.why;
        let why_schema: RefOr<Schema> = match kind {
            Type::Array => ArrayBuilder::new().items(of_type(&Type::String)).into(),
            kind => of_type(kind).into(),
        };
        let schema = ObjectBuilder::new()
            .property("success", of_type(&self.success))
            .property(*why, why_schema)
            .required("success");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        self.statuses.iter().map(move |(status, description)| {
            let mut response =
                ResponseBuilder::new().description(*description).content("application/json", content.clone());
            if matches!(status, 429 | 503) {
                let seconds = HeaderBuilder::new().description(Some("seconds after which to come again"));
                response = response.header("Retry-After", seconds.build());
            }
            (self.name(*status), response.build())
        })
    }

    /// The answers by name, for a call.
    fn named(&self) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let named = |(status, _): &(u16, &str)| {
            (status.to_string(), RefOr::Ref(Ref::from_response_name(self.name(*status))))
        };
        self.statuses.iter().map(named).collect()
    }
}

/// Names [`REFUSALS`] in the attribute of a handler.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        REFUSALS.named()
    }
}

/// Names [`UNTAKEN`] in the attribute of a handler.
pub struct Untaken;

impl IntoResponses for Untaken {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        UNTAKEN.named()
    }
}
