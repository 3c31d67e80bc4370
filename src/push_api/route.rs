use http::Method;

use super::answer::Failure;
use crate::group::Group;
use crate::key::Key;
use crate::metrics::PushApiCall;
use crate::path_key;

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Route {
    Push(Key),
    PushToEach,
    Broadcast,
    PushToGroup(Group),
    Sessions(Key),
    Disconnect(Key),
    Presence(Key),
    Stats,
    OpenApi,
}

impl Route {
    /// The route as the metrics name it.
    pub(super) fn as_call(&self) -> PushApiCall {
        match self {
            Self::Push(_) => PushApiCall::Push,
            Self::PushToEach => PushApiCall::PushToEach,
            Self::Broadcast => PushApiCall::Broadcast,
            Self::PushToGroup(_) => PushApiCall::PushToGroup,
            Self::Sessions(_) => PushApiCall::Sessions,
            Self::Disconnect(_) => PushApiCall::Disconnect,
            Self::Presence(_) => PushApiCall::Presence,
            Self::Stats => PushApiCall::Stats,
            Self::OpenApi => PushApiCall::OpenApi,
        }
    }

    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Failure> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).splitn(3, '/').collect();
        let is = |wanted: Method| match *method == wanted {
            true => Ok(()),
            false => Err(Failure::method(if wanted == Method::GET { "GET" } else { "POST" })),
        };
        match *segments {
            ["push", to] => is(Method::POST).and_then(|()| key(to)).map(Self::Push),
            ["push"] => is(Method::POST).map(|()| Self::PushToEach),
            ["broadcast"] => is(Method::POST).map(|()| Self::Broadcast),
            ["groups", to] => is(Method::POST).and_then(|()| group(to)).map(Self::PushToGroup),
            ["sessions", of] => match *method {
                Method::GET => key(of).map(Self::Sessions),
                Method::DELETE => key(of).map(Self::Disconnect),
                _ => Err(Failure::method("GET, DELETE")),
            },
            ["presence", of] => is(Method::GET).and_then(|()| key(of)).map(Self::Presence),
            ["stats"] => is(Method::GET).map(|()| Self::Stats),
            ["openapi.json"] => is(Method::GET).map(|()| Self::OpenApi),
            _ => Err(Failure::not_found()),
        }
    }
}

fn key(segment: &str) -> Result<Key, Failure> {
    let key = path_key::decode(segment).map_err(|_| Failure::bad("key", "must be UTF-8, percent-encoded"))?;
    Key::new(key).map_err(|error| Failure::bad("key", error))
}

fn group(segment: &str) -> Result<Group, Failure> {
    let group =
        path_key::decode(segment).map_err(|_| Failure::bad("group", "must be UTF-8, percent-encoded"))?;
    Group::new(group).map_err(|error| Failure::bad("group", error))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn key(key: &str) -> Key {
        Key::new(key).unwrap()
    }

    #[test]
    fn paths_and_methods() {
        let post = |path| Route::find(&Method::POST, path).ok();
        assert_eq!(post("/push/zo%C3%AB%2F1"), Some(Route::Push(key("zoë/1"))));
        assert_eq!(post("/push/al%2569ce"), Some(Route::Push(key("al%69ce"))));
        assert_eq!(post("/push"), Some(Route::PushToEach));
        assert_eq!(post("/groups/a"), Some(Route::PushToGroup(Group::new("a").unwrap())));
        let delete = Route::find(&Method::DELETE, "/sessions/a").unwrap();
        assert_eq!(delete, Route::Disconnect(key("a")));
    }

    #[test]
    fn what_is_no_route() {
        let status = |method: Method, path| Route::find(&method, path).unwrap_err().into_response().status();
        for path in ["", "/", "*", "//push", "/push/a/b", "/push/a/", "/Push", "/api/push", "/groups"] {
            assert_eq!(status(Method::POST, path), StatusCode::NOT_FOUND, "{path}");
        }
        for path in ["/push/", "/push/%FF", "/push/%00", "/groups/%20"] {
            assert_eq!(status(Method::POST, path), StatusCode::BAD_REQUEST, "{path}");
        }
        assert_eq!(status(Method::OPTIONS, "/sessions/a"), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status(Method::HEAD, "/stats"), StatusCode::METHOD_NOT_ALLOWED);
    }
}
