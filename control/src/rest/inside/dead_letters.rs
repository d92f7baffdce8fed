//! The dead letters of a pipeline: listed without their contents, shown whole, sent through again.

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::{asked, listed};
use crate::fleet::Question;
use crate::model::problem::Result;
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{Asked, LetterPath, PipelinePath, Sent, invalid};
use crate::rest::router::Rest;

/// Letters of a list, if nobody says how many.
const USUAL_LETTERS: u32 = 50;
/// Letters of a list at most, and those that are replayed by name.
const MOST_LETTERS: u32 = 1000;
/// What of a letter may hold a record's content.
const CONTENTS: [&str; 5] = ["key", "key-base64", "value", "value-base64", "headers"];

/// Where a letter is in the topic of dead letters: `PARTITION-OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LetterAt {
    partition: u32,
    offset: u64,
}

impl FromStr for LetterAt {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_number =
            |digits: &str, most: usize| digits.len() <= most && digits.bytes().all(|byte| byte.is_ascii_digit());
        let read = |(partition, offset): (&str, &str)| {
            let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
            Some(Self { partition, offset })
        };
        let parts = text.split_once('-');
        let parts = parts.filter(|(partition, offset)| is_number(partition, 9) && is_number(offset, 18));
        parts
            .and_then(read)
            .ok_or_else(|| format!("{text:?} is no letter: one is PARTITION-OFFSET, such as 0-17"))
    }
}

/// As the program writes it.
impl fmt::Display for LetterAt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.partition, self.offset)
    }
}

/// Which letters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LettersAsked {
    /// Letters at most: the newest, or with `from` the first ones; 1 to 1000, 50 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    most: Option<u32>,
    /// Where to begin: `earliest`, `latest`, an offset, or a time such as `2026-11-22T00:00:00Z`.
    from: Option<String>,
}

/// Which letters to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Replaying {
    /// These, as `PARTITION-OFFSET`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    letters: Vec<String>,
    /// All that were not replayed yet.
    #[serde(default)]
    all: bool,
    /// Whether nothing is to be sent, and it is only told what would.
    #[serde(default)]
    dry_run: bool,
    /// Also what was replayed before.
    #[serde(default)]
    again: bool,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReplayedLetters {
    /// Each letter: whether it was sent and where to, or why not.
    #[schema(value_type = Vec<Value>)]
    letters: Vec<Value>,
    /// Why not all were sent; not there if all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The routes of dead letters.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(letters))
        .routes(routes!(letter))
        .routes(routes!(replay))
}

/// The dead letters of a pipeline, the newest last, without keys, values and headers.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters", tag = "inside",
    operation_id = "dead-letters",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."), LettersAsked),
    responses((status = 200, description = "As `sandbar dead-letters list` has them.", body = List<Value>)))]
async fn letters(
    State(rest): State<Rest>,
    path: PipelinePath,
    Asked(wanted): Asked<LettersAsked>,
) -> Result<Json<List<Value>>> {
    let most = wanted.most.unwrap_or(USUAL_LETTERS);
    if !(1..=MOST_LETTERS).contains(&most) {
        let why = format!("most = {most} is not within 1 to {MOST_LETTERS}");
        return Err(invalid("failed to list dead letters", why));
    }
    let question = Question::new(&["dead-letters", "list"]).option("--max", most);
    let question = match wanted.from {
        Some(from) => question.option("--from", from),
        None => question,
    };
    let mut letters = listed(asked(&rest, &path, question).await?)?;
    for letter in letters.iter_mut().filter_map(Value::as_object_mut) {
        letter.retain(|field, _| !CONTENTS.contains(&field.as_str()));
    }
    Ok(Json(List::whole(letters)))
}

/// A dead letter, whole.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters/{letter}", tag = "inside",
    operation_id = "dead-letter",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."),
        ("letter" = String, Path, description = "Where it is: PARTITION-OFFSET.")),
    responses((status = 200, description = "As `sandbar dead-letters show` has it.", body = Value)))]
async fn letter(State(rest): State<Rest>, path: PipelinePath, LetterPath(letter): LetterPath) -> Result<Json<Value>> {
    let at: LetterAt = letter.parse().map_err(|_| not_found("dead letter", &letter))?;
    let question = Question::new(&["dead-letters", "show"]).about(at).absent(2);
    Ok(Json(asked(&rest, &path, question).await?.one()?))
}

/// Sends the records of dead letters again, to the partitions that they came from.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters/replay", tag = "inside",
    operation_id = "replay-dead-letters",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    request_body = Replaying,
    responses((status = 200, description = "What came of each.", body = ReplayedLetters)))]
async fn replay(
    State(rest): State<Rest>,
    path: PipelinePath,
    Sent(replaying): Sent<Replaying>,
) -> Result<Json<ReplayedLetters>> {
    let answered = asked(&rest, &path, replay_question(&replaying)?).await?;
    match answered.problem {
        Some(problem) if answered.values.is_empty() => Err(problem),
        problem => Ok(Json(ReplayedLetters {
            letters: answered.values,
            problem: problem.map(|problem| problem.to_string()),
        })),
    }
}

pub(super) fn replay_question(replaying: &Replaying) -> Result<Question> {
    let wrong = |why: String| invalid("failed to replay dead letters", why);
    let question = Question::new(&["dead-letters", "replay"])
        .flag("--dry-run", replaying.dry_run)
        .flag("--again", replaying.again);
    match (replaying.all, replaying.letters.len()) {
        (true, 0) => Ok(question.flag("--all", true)),
        (false, count) if count > 0 && count <= MOST_LETTERS as usize => {
            let letters = replaying.letters.iter().map(|at| at.parse::<LetterAt>());
            let letters: std::result::Result<Vec<_>, String> = letters.collect();
            let letters = letters.map_err(wrong)?;
            Ok(letters.into_iter().fold(question, Question::about))
        }
        _ => Err(wrong(format!("give 1 to {MOST_LETTERS} letters, or all"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::ProblemKind;

    #[test]
    fn a_letter_is_two_numbers_and_nothing_else() {
        let at: LetterAt = "0-17".parse().unwrap();
        assert_eq!(at.to_string(), "0/17");
        for wrong in [
            "",
            "-",
            "0",
            "0-",
            "-1-2",
            "0--1",
            "+0-1",
            "0/1",
            "a-b",
            "--all",
            "0-1-2",
            "4294967296-0",
        ] {
            assert!(wrong.parse::<LetterAt>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn letters_are_named_or_all_of_them_meant() {
        let of = |text: &str| replay_question(&serde_json::from_str(text).unwrap());
        assert!(of(r#"{"letters":["0-1","2-3"]}"#).is_ok() && of(r#"{"all":true,"dry-run":true}"#).is_ok());
        for wrong in ["{}", r#"{"all":true,"letters":["0-1"]}"#, r#"{"letters":["--all"]}"#] {
            assert_eq!(of(wrong).unwrap_err().kind, ProblemKind::Invalid, "{wrong}");
        }
        let many = serde_json::json!({ "letters": vec!["0-1"; MOST_LETTERS as usize + 1] });
        assert!(of(&many.to_string()).is_err());
    }
}
