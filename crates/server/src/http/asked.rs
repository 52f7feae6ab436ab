//! Path and query of a request. Those that cannot be read are answered like every other mistake, which the
//! extractors of axum do not do by themselves.

use axum::{
    extract::{self, FromRequestParts},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::{error::Error, site::Site};

/// The placeholders of a path, decoded; 400 when they are not UTF-8.
pub struct Path<T>(pub T);

/// The fields of a query; 400 when one is twice there or not what it must be.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Site> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Error> {
        let path = extract::Path::from_request_parts(parts, site).await;
        path.map(|extract::Path(path)| Self(path))
            .map_err(|error| Error::BadRequest(format!("the path cannot be read: {}", error.body_text())))
    }
}

impl<T: DeserializeOwned> FromRequestParts<Site> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Error> {
        let query = extract::Query::from_request_parts(parts, site).await;
        query
            .map(|extract::Query(query)| Self(query))
            .map_err(|error| Error::BadRequest(format!("the query cannot be read: {}", error.body_text())))
    }
}
