use keywire::Hub;
use keywire::adapter::push_api::{PushApi, SecretError};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

/// The push API below `/api`, if there is a secret.
pub(crate) fn route(hub: &Hub, secrets: &[String]) -> Result<BoxedFilter<(Response,)>, SecretError> {
    if secrets.is_empty() {
        return Ok(warp::any().and_then(async || Err(warp::reject::not_found())).boxed());
    }
    let api = PushApi::new(hub.clone(), secrets)?;
    Ok(keywire::adapter::warp::push_api("api", api).map(Reply::into_response).boxed())
}
