//! `mooring recipient`, `export`, `take-back` and `import` as an operator runs them, beside running servers.

use crate::{
    api::connect,
    cli::{Said, folder, run, run_with_input},
    support::{
        app::{On, TestApp, on_both},
        database::{dump, holds},
    },
    transfers::{ACME, Two, held},
};
use serde_json::{Value, json};

async fn mooring(app: &TestApp, arguments: &[&str], input: &str) -> Said {
    let vars: Vec<_> = app.vars().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    run_with_input(app.data.path(), arguments, &vars, input).await
}

on_both!(an_operator_moves_connections_beside_running_servers, async |on: On| {
    let two = Two::start(on).await;
    two.from.connect_by_oauth("acme").await;
    connect(&two.from, &two.here, "pasted", json!({"tenant": "acme"})).await;
    let recipient = mooring(&two.to, &["recipient"], "").await.expect(0).line().to_owned();
    assert_eq!(recipient, two.recipient);

    let refused = mooring(&two.from, &["export", "--to", "moor-recipient_x"], "").await.expect(2);
    assert!(refused.err.contains("mooring recipient"), "{}", refused.err);
    mooring(&two.from, &["export", "--to", &recipient, "none"], "").await.expect(2);
    let export = mooring(&two.from, &["export", "--to", &recipient], "").await.expect(0);
    assert!(export.err.contains("Exported: 2 connections."), "{}", export.err);
    for text in [&export.out, &export.err] {
        assert!(!text.contains("glpat-") && !text.contains("pasted"), "{text}");
    }

    let back = mooring(&two.from, &["take-back", "acme"], "").await.expect(0);
    assert_eq!(back.line(), "Taken back: 1 connection.");
    assert!(mooring(&two.from, &["take-back", "acme"], "").await.expect(1).err.contains("was not exported"));
    assert_eq!(
        mooring(&two.from, &["take-back", "--all"], "").await.expect(0).line(),
        "Taken back: 1 connection."
    );
    mooring(&two.from, &["take-back"], "").await.expect(2);
    mooring(&two.from, &["export", "--to", &recipient, "--tenant", ""], "").await.expect(2);
    let of_none = mooring(&two.from, &["export", "--to", &recipient, "--tenant", "other", "acme"], "").await;
    assert!(of_none.expect(2).err.contains("no such connection"));
    let export = mooring(&two.from, &["export", "--to", &recipient], "").await.expect(0);

    let refused = mooring(&two.from, &["import", "-"], &export.out).await.expect(1);
    assert!(refused.err.contains("another installation"), "{}", refused.err);
    let half = &export.out[..export.out.len() / 2];
    assert!(mooring(&two.to, &["import", "-"], half).await.expect(2).err.contains("not all of it"));
    let would = mooring(&two.to, &["import", "--dry-run", "-"], &export.out).await.expect(0);
    assert_eq!(would.line(), "Would be imported: 2 connections.");
    let done = mooring(&two.to, &["import", "--json", "-"], &export.out).await.expect(0);
    let done: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(done["imported"].as_array().unwrap().len(), 2);
    let again = mooring(&two.to, &["import", "-"], &export.out).await.expect(0);
    assert!(again.out.contains("left as they are: 2 connections"), "{}", again.out);

    assert_eq!(held(&two.there).await["generation"], 1);
    two.there.post_json(&format!("{ACME}/renew"), json!({})).await.expect(200);
    let token = held(&two.there).await["access_token"].as_str().unwrap().to_owned();
    assert!(!holds(&dump(&two.to).await, &token), "it is sealed there too");
});

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_key_has_no_recipient() {
    let (folder, url) = (folder(), "sqlite:nothing.db");
    let refused = run(folder.path(), &["recipient"], &[("MOORING_DATABASE_URL", url)]).await.expect(1);
    assert!(refused.err.contains("start the server once"), "{}", refused.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
}
