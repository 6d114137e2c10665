//! The language server, spoken to over pipes as editors do.
#![allow(clippy::needless_pass_by_value, reason = "json!() is easier to read without ampersands")]

mod client;
mod neovim;

use std::fs;
use std::path::Path;

use client::{Client, range, uri};
use serde_json::{Value, json};

const SPLIT: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: db}
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              team: shop
        - podSelector:
            matchLabels:
              app: web
      ports:
        - port: 5432
";

const PODS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
";

fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics.iter().map(|diagnostic| diagnostic["code"].as_str().unwrap()).collect()
}

fn actions(client: &mut Client, uri: &str, range: Value, only: Option<&str>) -> Vec<Value> {
    let mut context = json!({"diagnostics": []});
    if let Some(only) = only {
        context["only"] = json!([only]);
    }
    let params = json!({"textDocument": {"uri": uri}, "range": range, "context": context});
    let answer = client.request("textDocument/codeAction", params);
    answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

/// The text after the edits of an action, which are lines and columns of plain ASCII here.
fn applied(text: &str, action: &Value, uri: &str) -> String {
    let edits = match action["edit"].get("documentChanges") {
        Some(changes) => {
            assert_eq!(changes[0]["textDocument"]["uri"], uri);
            changes[0]["edits"].clone()
        }
        None => action["edit"]["changes"][uri].clone(),
    };
    let offset = |at: &Value| {
        let line = at["line"].as_u64().unwrap() as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        start + at["character"].as_u64().unwrap() as usize
    };
    let mut edits = edits.as_array().unwrap().clone();
    edits.sort_by_key(|edit| std::cmp::Reverse(offset(&edit["range"]["start"])));
    let mut text = text.to_owned();
    for edit in edits {
        let (start, end) = (offset(&edit["range"]["start"]), offset(&edit["range"]["end"]));
        text.replace_range(start..end, edit["newText"].as_str().unwrap());
    }
    text
}

fn hover(client: &mut Client, uri: &str, line: u32, character: u32) -> Value {
    let position = json!({"line": line, "character": character});
    client.request("textDocument/hover", json!({"textDocument": {"uri": uri}, "position": position}))["result"]
        .clone()
}

#[test]
fn a_session() {
    let folder = workspace(&[("p.yaml", SPLIT), ("pods.yaml", PODS)]);
    let (mut client, result) = Client::initialized(folder.path(), &json!({}));
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(result["serverInfo"]["name"], "netpol-lint");
    let uri = uri(&folder.path().join("p.yaml"));

    client.open(&uri, SPLIT);
    let found = client.diagnostics(&uri, 1);
    assert_eq!(codes(&found), ["NP106", "NP101"]);
    let split = &found[1];
    assert_eq!(split["range"], range((13, 8), (13, 21)));
    assert_eq!(split["source"], "netpol-lint");
    assert_eq!(split["relatedInformation"][0]["location"]["uri"], uri);

    // The dash goes, as somebody types it.
    client.change(&uri, 2, Some(range((13, 8), (13, 9))), " ");
    assert_eq!(codes(&client.diagnostics(&uri, 2)), ["NP106"]);
    // It comes back, in two changes: only what is true at the end counts.
    client.change(&uri, 3, Some(range((13, 8), (13, 9))), "");
    client.change(&uri, 4, Some(range((13, 8), (13, 8))), "-");
    assert_eq!(codes(&client.diagnostics(&uri, 4)), ["NP106", "NP101"]);

    client.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    let gone = client
        .wait(|message| message["params"]["uri"] == *uri && message["params"]["diagnostics"] == json!([]));
    assert_eq!(gone["params"].get("version"), None);
    assert_eq!(client.request("shutdown", Value::Null)["result"], Value::Null);
    assert_eq!(client.request("textDocument/hover", json!({}))["error"]["code"], -32600);
    client.notify("exit", Value::Null);
    assert_eq!(client.ended(), (Some(0), String::new()), "it ends although the pipe is open");
}

#[test]
fn code_actions() {
    let folder = workspace(&[("pods.yaml", PODS)]);
    let capabilities = json!({"workspace": {"workspaceEdit": {"documentChanges": true}}});
    for capabilities in [json!({}), capabilities] {
        let (mut client, _) = Client::initialized(folder.path(), &capabilities);
        let uri = uri(&folder.path().join("p.yaml"));
        client.open(&uri, SPLIT);
        client.diagnostics(&uri, 1);
        let of_split = actions(&mut client, &uri, range((13, 10), (13, 10)), Some("quickfix"));
        let titles: Vec<_> = of_split.iter().map(|action| action["title"].as_str().unwrap()).collect();
        assert_eq!(
            titles,
            ["NP101: join the two items into one peer (changes the meaning)", "NP101: ignore this"]
        );
        assert_eq!(of_split[0]["diagnostics"][0]["code"], "NP101");
        assert_eq!(
            applied(SPLIT, &of_split[0], &uri),
            SPLIT.replace("        - podSelector", "          podSelector")
        );
        assert_eq!(
            applied(SPLIT, &of_split[1], &uri),
            SPLIT.replace("- podSelector:\n", "- podSelector:  # netpol-lint: ignore[NP101]\n")
        );
        let of_spec = actions(&mut client, &uri, range((5, 0), (5, 3)), Some("quickfix"));
        assert_eq!(of_spec[0]["title"], "NP106: write policyTypes: [Ingress]", "{of_spec:?}");
        assert_eq!(of_spec[0]["isPreferred"], true);
        let all = actions(&mut client, &uri, range((0, 0), (0, 0)), Some("source.fixAll"));
        let [all] = &all[..] else { panic!("{all:?}") };
        assert_eq!(all["kind"], "source.fixAll.netpol-lint");
        let fixed = applied(SPLIT, all, &uri);
        client.change(&uri, 2, None, &fixed);
        assert_eq!(codes(&client.diagnostics(&uri, 2)), ["NP101"], "unsafe ones are not among them: {fixed}");
        assert_eq!(actions(&mut client, &uri, range((0, 0), (30, 0)), Some("source")), [Value::Null; 0]);
    }
}

#[test]
fn hovering() {
    let folder = workspace(&[("pods.yaml", PODS)]);
    let (mut client, _) = Client::initialized(folder.path(), &json!({}));
    let uri = uri(&folder.path().join("p.yaml"));
    client.open(&uri, SPLIT);
    let mut text = |line, character| {
        let shown = hover(&mut client, &uri, line, character);
        shown["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    let page = text(13, 12);
    assert!(page.starts_with("**NP101 split-peer-selectors** ("), "{page}");
    assert!(page.contains("#### Why it matters"), "{page}");
    let whole = text(1, 8);
    assert!(whole.starts_with("**shop/db**\n\nIt selects the pods with app=db in namespace shop"), "{whole}");
    assert!(whole.contains("- Replies belong to the connection"), "{whole}");
    let target = text(7, 6);
    assert_eq!(target, "It selects the pods with app=db in namespace shop: shop/Pod/db.");
    let rule = text(17, 12);
    assert!(
        rule.starts_with("This ingress rule allows connections\n\n- on port 5432/TCP, from any of"),
        "{rule}"
    );
    assert!(text(8, 4).starts_with("**Ingress** is isolated: "));
    assert_eq!(text(3, 2), "", "nothing to say of the key `name`");
    let params =
        json!({"textDocument": {"uri": "file:///not/open.yaml"}, "position": {"line": 0, "character": 0}});
    assert_eq!(client.request("textDocument/hover", params)["result"], Value::Null);
}

#[test]
fn other_files_are_the_context() {
    let folder = workspace(&[("pods.yaml", PODS)]);
    let (mut client, _) = Client::initialized(folder.path(), &json!({}));
    let (policy, pods) = (uri(&folder.path().join("p.yaml")), uri(&folder.path().join("pods.yaml")));
    let text = SPLIT.replace("{app: db}", "{app: database}").replace("        - podS", "          podS");
    client.open(&policy, &text);
    assert!(codes(&client.diagnostics(&policy, 1)).contains(&"NP501"), "no workload is called database");
    // The pod is renamed in another buffer, which nobody has saved.
    client.open(&pods, &PODS.replace("{app: db}", "{app: database}"));
    let without = client.wait(|message| {
        let params = &message["params"];
        let none = |list: &Value| !codes(list.as_array().unwrap()).contains(&"NP501");
        params["uri"] == *policy && none(&params["diagnostics"])
    });
    assert_eq!(without["params"]["version"], 1);
    // The buffer is thrown away: what is on disk counts.
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": pods}}));
    assert!(codes(&client.diagnostics(&policy, 1)).contains(&"NP501"));
    // Somebody else writes the file.
    fs::write(folder.path().join("pods.yaml"), PODS.replace("{app: db}", "{app: database}")).unwrap();
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": pods, "type": 2}]}));
    assert!(!codes(&client.diagnostics(&policy, 1)).contains(&"NP501"));
}

#[test]
fn the_configuration_counts() {
    let folder = workspace(&[("netpol-lint.toml", "ignore = [\"NP106\"]\n")]);
    let watching = json!({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true}}});
    let (mut client, _) = Client::initialized(folder.path(), &watching);
    let asked = client.wait(|message| message["method"] == "client/registerCapability");
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": null}));
    let file = uri(&folder.path().join("p.yaml"));
    client.open(&file, SPLIT);
    assert_eq!(codes(&client.diagnostics(&file, 1)), ["NP101"]);
    let config = folder.path().join("netpol-lint.toml");
    fs::write(&config, "ignore = [\"NP1\"]\n").unwrap();
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": uri(&config), "type": 2}]}));
    assert_eq!(codes(&client.diagnostics(&file, 1)), [""; 0]);
    fs::write(&config, "ignroe = []\n").unwrap();
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": uri(&config), "type": 2}]}));
    let told = client.wait(|message| message["method"] == "window/showMessage");
    assert!(told["params"]["message"].as_str().unwrap().contains("ignroe"), "{told}");
    assert_eq!(codes(&client.diagnostics(&file, 1)), ["NP106", "NP101"], "as if there were none");
}

#[test]
fn columns_count_what_the_client_counts() {
    let item = "        - {podSelector: {matchLabels: {a😀é: x}}, z: 1}";
    let text = SPLIT.replace("        - podSelector:", &format!("{item}\n        - podSelector:"));
    let before = &item[..item.find("z: 1").unwrap()];
    let (bytes, units) = (before.len() as u32, before.encode_utf16().count() as u32);
    for (offered, column) in
        [(json!([]), units), (json!(["utf-16"]), units), (json!(["utf-32", "utf-8"]), bytes)]
    {
        let folder = workspace(&[]);
        let capabilities = json!({"general": {"positionEncodings": offered}});
        let (mut client, _) = Client::initialized(folder.path(), &capabilities);
        let uri = uri(&folder.path().join("p.yaml"));
        client.open(&uri, &text);
        let found = client.diagnostics(&uri, 1);
        let stray = found.iter().find(|diagnostic| diagnostic["code"] == "NP002").unwrap();
        assert_eq!(stray["range"], range((13, column), (13, column + 1)), "{offered} {stray}");
        // A change behind such characters lands where it should.
        client.change(&uri, 2, Some(range((13, column - 2), (13, column + 4))), "");
        let found = client.diagnostics(&uri, 2);
        assert!(!codes(&found).contains(&"NP002"), "{found:?}");
        assert!(!codes(&found).contains(&"NP013"), "{found:?}");
    }
}

#[test]
fn bad_messages_do_no_harm() {
    let folder = workspace(&[]);
    let mut client = Client::start();
    assert_eq!(client.request("textDocument/hover", json!({}))["error"]["code"], -32002);
    client.notify("textDocument/didOpen", json!({"too": "early"}));
    assert_eq!(client.request("initialize", json!([1]))["error"]["code"], -32602);
    let root = json!({"capabilities": {}, "rootUri": uri(folder.path())});
    assert!(client.request("initialize", root.clone())["result"].is_object());
    assert_eq!(client.request("initialize", root)["error"]["code"], -32600);
    client.raw(b"Content-Length: 3\r\n\r\n{]}");
    assert_eq!(client.wait(|message| message["id"].is_null())["error"]["code"], -32700);
    client.raw(b"content-length: 2\r\nContent-Type: a\r\n\r\n[]");
    assert_eq!(client.wait(|message| message["id"].is_null())["error"]["code"], -32600);
    assert_eq!(client.request("no/such/thing", json!({}))["error"]["code"], -32601);
    assert_eq!(client.request("textDocument/hover", json!({"x": 1}))["error"]["code"], -32602);
    client.notify("textDocument/didChange", json!({"x": 1}));
    client.notify("$/cancelRequest", json!({"id": 99}));
    client.send(&json!({"jsonrpc": "2.0", "id": 77, "result": null}));
    let uri = uri(&folder.path().join("p.yaml"));
    // Places that don't exist, in documents that aren't open or don't end.
    client.change(&uri, 9, None, "x");
    client.open(&uri, "kind: NetworkPolicy\nspec: {");
    assert_eq!(codes(&client.diagnostics(&uri, 1)), ["NP013"]);
    client.change(&uri, 2, Some(range((900, 900), (1, 1))), "\n");
    client.diagnostics(&uri, 2);
    assert!(actions(&mut client, &uri, range((u32::MAX, u32::MAX), (0, 0)), None).len() < 9);
    client.open("untitled:Untitled-1", SPLIT);
    assert!(codes(&client.diagnostics("untitled:Untitled-1", 1)).contains(&"NP101"));
    // Not every broken file is about policies.
    let other = self::uri(&folder.path().join("other.yaml"));
    client.open(&other, "kind: Deployment\nspec: {");
    assert_eq!(client.diagnostics(&other, 1), [Value::Null; 0]);
    assert_eq!(client.end(), (Some(1), String::new()), "gone without a word");
}

#[test]
fn something_else_than_the_protocol() {
    let mut client = Client::start();
    client.raw(b"hello\r\n");
    let (status, said) = client.end();
    assert_eq!(status, Some(2));
    assert_eq!(said, "netpol-lint: `hello` is no header of the language server protocol\n");
}

/// Whatever is typed, the server's text is the editor's.
#[test]
fn typing() {
    let folder = workspace(&[]);
    let (mut client, _) = Client::initialized(folder.path(), &json!({}));
    let uri = uri(&folder.path().join("p.yaml"));
    client.open(&uri, "");
    let mut version = 1;
    let (mut line, mut column) = (0, 0);
    for character in SPLIT.chars() {
        version += 1;
        client.change(&uri, version, Some(range((line, column), (line, column))), &character.to_string());
        (line, column) = if character == '\n' { (line + 1, 0) } else { (line, column + 1) };
    }
    assert_eq!(codes(&client.diagnostics(&uri, version)), ["NP106", "NP101"]);
    assert!(Path::new(&folder.path().join(".git")).exists());
}
