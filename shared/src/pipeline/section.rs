//! One table of a spec, read field by field, so that every message can name line, field and value.
//!
//! Serde's own errors know the line or the field, but seldom both, and never the value.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{SpecError, suggestion};

/// How much of a wrong value is quoted.
const QUOTED_MAX: usize = 60;

/// A table whose field names have been checked.
pub(super) struct Section<'t> {
    text: &'t str,
    /// Empty for the top level, else such as `evaluate.gate`.
    path: String,
    span: Range<usize>,
    table: &'t DeTable<'t>,
}

impl<'t> Section<'t> {
    /// Refuses any field that is not among `known`.
    pub(super) fn open(
        text: &'t str,
        path: &str,
        table: &'t Spanned<DeTable<'t>>,
        known: &[&str],
    ) -> Result<Self, SpecError> {
        Self::over(text, path, table.span(), table.get_ref(), known)
    }

    fn over(
        text: &'t str,
        path: &str,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        known: &[&str],
    ) -> Result<Self, SpecError> {
        let section = Self {
            text,
            path: path.to_owned(),
            span,
            table,
        };
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let hint = suggestion(name, known.iter().copied());
                let problem = format!("unknown field `{name}`{}{hint}", section.place());
                return Err(section.error_at(key.span(), problem));
            }
        }
        Ok(section)
    }

    /// An error at the field, or at the table's beginning when the field is not there.
    pub(super) fn error(&self, field: &str, problem: String) -> SpecError {
        let span = self
            .table
            .get(field)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.error_at(span, problem)
    }

    /// `` `field` in [table] must be <what>, received: <value> ``.
    pub(super) fn must(&self, field: &str, what: &str) -> SpecError {
        let received = self
            .table
            .get(field)
            .map_or("nothing", |value| self.quote(value.span()));
        self.error(
            field,
            format!(
                "`{field}`{} must be {what}, received: {received}",
                self.place()
            ),
        )
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    pub(super) fn text_of(&self, field: &str) -> Result<Option<&'t str>, SpecError> {
        self.get(field, "a text in quotes", DeValue::as_str)
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, SpecError> {
        self.get(field, "true or false", DeValue::as_bool)
    }

    /// A whole number in `range`; `unit` follows the range in the message.
    pub(super) fn whole(
        &self,
        field: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, SpecError> {
        let what = format!("{} to {}", range.start(), range.end());
        self.get(field, &what, |value| {
            let number = integer(value)?;
            u32::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
        })
    }

    /// A finite number that is not negative; whole numbers count.
    pub(super) fn amount(&self, field: &str) -> Result<Option<f64>, SpecError> {
        self.get(field, "a number, 0 or more", |value| {
            let text = match value {
                DeValue::Float(float) => float.as_str().to_owned(),
                DeValue::Integer(_) => integer(value)?.to_string(),
                _ => return None,
            };
            text.parse()
                .ok()
                .filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
        })
    }

    /// A list of texts, none of them empty.
    pub(super) fn words(&self, field: &str) -> Result<Option<Vec<&'t str>>, SpecError> {
        self.get(field, "a list of texts, none of them empty", |value| {
            value
                .as_array()?
                .iter()
                .map(|item| item.get_ref().as_str().filter(|word| !word.is_empty()))
                .collect()
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        field: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SpecError> {
        let Some(written) = self.text_of(field)? else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == written) {
            Some((_, chosen)) => Ok(Some(*chosen)),
            None => Err(self.none_of(field, written, choices.iter().map(|(word, _)| *word))),
        }
    }

    /// The error for a word that is none of those that may stand in the field.
    pub(super) fn none_of<'a>(
        &self,
        field: &str,
        written: &str,
        words: impl Iterator<Item = &'a str> + Clone,
    ) -> SpecError {
        let all: Vec<&str> = words.clone().collect();
        let hint = suggestion(written, words);
        let mut error = self.must(field, &format!("one of {}", all.join(", ")));
        error.problem.push_str(&hint);
        error
    }

    /// A table inside this one.
    pub(super) fn table(&self, field: &str, known: &[&str]) -> Result<Option<Self>, SpecError> {
        let Some(inner) = self.get(field, "a table", DeValue::as_table)? else {
            return Ok(None);
        };
        let path = if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        };
        let span = self
            .table
            .get(field)
            .map_or_else(|| self.span.clone(), Spanned::span);
        Self::over(self.text, &path, span, inner, known).map(Some)
    }

    /// Anything at all, as JSON: what the program makes of it is its own affair.
    pub(super) fn free(&self, field: &str) -> Result<BTreeMap<String, Value>, SpecError> {
        let Some(table) = self.get(field, "a table", DeValue::as_table)? else {
            return Ok(BTreeMap::new());
        };
        json_table(table).map_err(|span| {
            let problem = format!(
                "`{field}`{} may hold finite numbers only, received: {}",
                self.place(),
                self.quote(span.clone())
            );
            self.error_at(span, problem)
        })
    }

    fn get<T>(
        &self,
        field: &str,
        what: &str,
        read: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Result<Option<T>, SpecError> {
        let Some(value) = self.table.get(field) else {
            return Ok(None);
        };
        read(value.get_ref())
            .map(Some)
            .ok_or_else(|| self.must(field, what))
    }

    /// ` in [table]`, or nothing at the top level.
    pub(super) fn place(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.path)
        }
    }

    fn quote(&self, span: Range<usize>) -> &'t str {
        let written = self
            .text
            .get(span)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let end = written
            .char_indices()
            .nth(QUOTED_MAX)
            .map_or(written.len(), |(at, _)| at);
        written.get(..end).unwrap_or(written)
    }

    fn error_at(&self, span: Range<usize>, problem: String) -> SpecError {
        SpecError {
            line: line_of(self.text, span.start),
            problem,
        }
    }
}

/// The line, from 1, that a byte is on.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn json_table(table: &DeTable<'_>) -> Result<BTreeMap<String, Value>, Range<usize>> {
    table
        .iter()
        .map(|(key, value)| Ok((key.get_ref().to_string(), json(value)?)))
        .collect()
}

/// The span of what JSON cannot say is the error.
fn json(value: &Spanned<DeValue<'_>>) -> Result<Value, Range<usize>> {
    let unsayable = || value.span();
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(_) => Value::from(integer(value.get_ref()).ok_or_else(unsayable)?),
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().map_err(|_| unsayable())?;
            serde_json::Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(unsayable)?
        }
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(at) => Value::String(at.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(inner) => Value::Object(json_table(inner)?.into_iter().collect()),
    })
}
