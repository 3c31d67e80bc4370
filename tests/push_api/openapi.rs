//! The OpenAPI document and the running server say the same, as schemathesis judges them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use futures_util::StreamExt as _;
use keywire::adapter::push_api::{OPENAPI, PushApi};
use keywire::auth::RawKey;
use keywire::log::MemoryLog;
use keywire::{Hub, Session, Switch};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::api::{Api, SECRET};
use crate::support::Directory;

/// Runs schemathesis on the API at this URL, against a document at a URL or in a file.
async fn check(api: &str, document: &str, arguments: &[&str]) -> Output {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis");
    let installed = home.join("installed");
    let program = std::env::var_os("SCHEMATHESIS").map_or_else(|| installed.join("bin/st"), PathBuf::from);
    let path = std::env::join_paths([&installed, &home]).expect("a path");
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let directory = Directory::new(&format!("schemathesis-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
    let mut command = Command::new(program);
    command.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1").env("SCHEMATHESIS_HOOKS", "hooks");
    command.current_dir(&directory.0).kill_on_drop(true);
    command.args([
        "--no-color",
        "run",
        document,
        "--url",
        api,
        "--checks",
        "all",
        "--generation-deterministic",
    ]);
    command.args(["--header", &format!("Authorization: Bearer {SECRET}")]).args(arguments);
    command.output().await.expect("schemathesis runs: see scripts/setup test")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()).into_owned()
}

/// A server on which alice always has a tab, in the group `0`.
async fn server() -> Api {
    let joins = |session: Session| async move {
        let _ = session.join("0").await;
        Ok(())
    };
    let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().opened(joins)).log(MemoryLog::new());
    let api = Api::start_with(hub.build(), |api| api.wrong_secrets(None)).await;
    let url = format!("ws://{}/websocket/alice", api.addr);
    let mut tab = tokio_tungstenite::connect_async(&url).await.expect("an upgrade").0;
    tokio::spawn(async move {
        loop {
            while let Some(Ok(_)) = tab.next().await {}
            match tokio_tungstenite::connect_async(&url).await {
                Ok((again, _)) => tab = again,
                // The test is over.
                Err(_) => return,
            }
        }
    });
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_as_documented() {
    let api = server().await;
    let url = format!("http://{}/api", api.addr);
    let output =
        check(&url, &format!("{url}/openapi.json"), &["--max-examples", "50", "--continue-on-failure"]).await;
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    // All were checked, and with data that they accept.
    assert!(said.contains("Operations:       8 selected / 8 total") && !said.contains("Warnings"), "{said}");
    // Not a key of the document, which schemathesis itself has asked for.
    assert_eq!(api.get("/openapi.json").await.1, serde_json::from_str::<Value>(OPENAPI).expect("JSON"));
}

/// A document with a lie is caught, or the test above says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lie_of_the_document_is_found() {
    type Lie = fn(&mut Value);
    let lies: [(&str, Lie, &str); 5] = [
        (
            "broadcast",
            |it| {
                it["components"]["schemas"]["Delivery"]["properties"]["remote"] = json!({ "enum": ["sent"] })
            },
            "ST108 Response violates schema",
        ),
        (
            "broadcast",
            |it| it["components"]["schemas"]["LivePush"]["properties"]["kept"] = json!({ "type": "boolean" }),
            "ST202 Schema-valid request rejected",
        ),
        (
            "broadcast",
            |it| it["components"]["schemas"]["LivePush"]["properties"]["msg"]["type"] = json!("string"),
            "ST201 Schema-violating request accepted",
        ),
        (
            "stats",
            |it| drop(object(it, "/paths/~1stats/get/responses").remove("401")),
            "ST103 Undocumented status code",
        ),
        (
            "sessions",
            |it| drop(object(it, "/paths/~1sessions~1{key}").remove("delete")),
            "ST205 Allow header mismatch",
        ),
    ];
    let api = server().await;
    let url = format!("http://{}/api", api.addr);
    let directory = Directory::new("lies");
    let file = directory.0.join("openapi.json");
    for (operation, lie, found) in lies {
        let mut document = serde_json::from_str(OPENAPI).expect("JSON");
        lie(&mut document);
        fs::write(&file, document.to_string()).expect("a file");
        let arguments = ["--include-operation-id", operation, "--max-examples", "20"];
        let output = check(&url, file.to_str().expect("UTF-8"), &arguments).await;
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(found), "{operation}, {found}: {said}");
    }
}

fn object<'a>(document: &'a mut Value, path: &str) -> &'a mut serde_json::Map<String, Value> {
    document.pointer_mut(path).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{path}"))
}

/// An API that anyone may use is found.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_api_is_found() {
    let hub = Hub::builder(RawKey::from_path()).build();
    let api = PushApi::new(hub, [SECRET]).expect("a good secret");
    let open = axum::middleware::map_request(async |mut request: axum::extract::Request| {
        let secret = HeaderValue::from_str(&format!("Bearer {SECRET}")).expect("a header");
        request.headers_mut().insert(AUTHORIZATION, secret);
        request
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/api", listener.local_addr().expect("an address"));
    let router: Router = Router::new().nest_service("/api", api).layer(open);
    tokio::spawn(keywire::serve(listener, router).run());
    let arguments = ["--include-operation-id", "stats", "--max-examples", "5"];
    let output = check(&url, &format!("{url}/openapi.json"), &arguments).await;
    let said = said(&output);
    assert!(
        output.status.code() == Some(1) && said.contains("ST401 API accepts requests without authentication"),
        "{said}"
    );
}
