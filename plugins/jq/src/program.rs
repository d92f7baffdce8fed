//! Programs in jq's language: what they know, and what runs them.

use jaq_core::compile::Undefined;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, Error, File, Loader, parse};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::Val;
use sandbar_sdk::prelude::*;

/// What is bound in a program beside its input.
pub(crate) const BOUND: [&str; 5] = ["$key", "$timestamp", "$headers", "$partition", "$offset"];

/// What would read or write something beside the record, or end more than the program.
const ABSENT: [&str; 15] = [
    "debug",
    "debug_empty",
    "env",
    "halt",
    "halt_error",
    "input",
    "input_filename",
    "input_line_number",
    "inputs",
    "localtime",
    "now",
    "stderr",
    "stderr_empty",
    "strflocaltime",
    "$ENV",
];

/// So much of a program is shown behind a place in it.
const SHOWN: usize = 20;

/// A program that was compiled.
pub(crate) struct Program {
    /// Which of the configuration's it is.
    name: &'static str,
    filter: Filter<JustLut<Val>>,
}

impl Program {
    pub(crate) fn compile(name: &'static str, text: &str) -> Result<Self, Refusal> {
        let wrong = |why: String| fail(format!("`{name}` is no program in jq's language: {why}"));
        let own = parse_own().ok_or_else(|| fail("the plugin's own definitions cannot be read"))?;
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let defs = defs.filter(|def| !ABSENT.contains(&def.name)).chain(own);
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let funs = funs.filter(|(name, ..)| !ABSENT.contains(name));
        let (arena, file) = (Arena::default(), File { code: text, path: () });
        let modules = Loader::new(defs).load(&arena, file);
        let modules = modules.map_err(|errors| wrong(first(errors, unread)))?;
        let compiler = Compiler::default().with_funs(funs).with_global_vars(BOUND);
        let filter = compiler.compile(modules);
        let filter = filter.map_err(|errors| wrong(first(errors, |all| first_undefined(&all))))?;
        Ok(Self { name, filter })
    }

    /// Its results for an input, one after the other.
    pub(crate) fn run<'a>(
        &'a self,
        bound: &Vars<Val>,
        input: Val,
    ) -> impl Iterator<Item = Result<Val, Refusal>> + use<'a> {
        let context = Ctx::<JustLut<Val>>::new(&self.filter.lut, bound.clone());
        let results = self.filter.id.run((context, input));
        results.map(|result| result.map_err(|exception| self.error(exception.get_err().ok())))
    }

    /// Its one result.
    pub(crate) fn one(&self, bound: &Vars<Val>, input: &Val) -> Result<Val, Refusal> {
        let mut results = self.run(bound, input.clone());
        let none = || dead_letter(format!("`{}` has no result for it, and needs one", self.name));
        let first = results.next().ok_or_else(none)??;
        match results.next() {
            None => Ok(first),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(dead_letter(format!(
                "`{}` has several results for it, and needs one",
                self.name
            ))),
        }
    }

    fn error(&self, error: Option<jaq_json::Error>) -> Refusal {
        let why = error.map_or_else(|| "it halted".to_owned(), |error| error.to_string());
        dead_letter(format!("`{}`: {why}", self.name))
    }
}

/// What jq defines and jaq does not.
fn parse_own() -> Option<Vec<parse::Def<&'static str>>> {
    load::parse(include_str!("own.jq"), |parser| parser.defs())
}

/// What the first error says.
fn first<E>(errors: Vec<(File<&str, ()>, E)>, say: impl FnOnce(E) -> String) -> String {
    let first = errors.into_iter().next();
    first.map_or_else(|| "it is empty".to_owned(), |(_, error)| say(error))
}

fn unread(error: Error<&str>) -> String {
    let expected = |what: &str, found: &str| match found.is_empty() {
        true => format!("expected {what}, found the end"),
        false => format!("expected {what} at `{}`", shown(found)),
    };
    let said = match error {
        Error::Io(all) => all.first().map(|(module, why)| format!("module `{module}`: {why}")),
        Error::Lex(all) => all.first().map(|(what, found)| expected(what.as_str(), found)),
        Error::Parse(all) => all.first().map(|(what, found)| expected(what.as_str(), found)),
    };
    said.unwrap_or_default()
}

fn shown(found: &str) -> &str {
    let end = found.char_indices().nth(SHOWN).map_or(found.len(), |(end, _)| end);
    &found[..end]
}

fn first_undefined(all: &[(&str, Undefined)]) -> String {
    let undefined = |(name, what): &(&str, Undefined)| match what {
        _ if ABSENT.contains(name) => format!("`{name}` is not there: a program sees its record and nothing else"),
        Undefined::Filter(arity) => format!("there is no filter `{name}/{arity}`"),
        _ => format!("there is no {} `{name}`", what.as_str()),
    };
    all.first().map(undefined).unwrap_or_default()
}
