//! Keeps the pushes among GitHub's public events and projects a few of their fields, keyed by repository.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Pushes {}

#[derive(Deserialize)]
struct Event<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    actor: Actor,
    repo: Repo,
    payload: Payload,
}

#[derive(Deserialize)]
struct Actor {
    login: String,
}

#[derive(Deserialize)]
struct Repo {
    name: String,
}

/// Other events have other payloads.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    branch: Option<String>,
    size: Option<u64>,
}

#[derive(Serialize)]
struct Push<'a> {
    id: &'a str,
    repo: &'a str,
    by: &'a str,
    branch: &'a str,
    commits: u64,
}

impl Plugin for Pushes {
    fn process(&mut self, event: &sandbar_sdk::Event, out: &mut Outputs) -> Result<(), Refusal> {
        let Event {
            id,
            kind,
            actor,
            repo,
            payload,
        } = event.json()?;
        if kind != "PushEvent" {
            return Ok(());
        }
        let branch = payload.branch.as_deref().unwrap_or_default();
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        let push = Push {
            id,
            repo: &repo.name,
            by: &actor.login,
            branch,
            commits: payload.size.unwrap_or(0),
        };
        out.emit_json(&repo.name, &push)?;
        Ok(())
    }
}

sandbar_sdk::plugin!(Pushes);
