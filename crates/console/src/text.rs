//! Every text that people read, in one place, by key: `texts/en.toml`. Another language is another file.
use toml::Table;

/// The English texts.
const EN: &str = include_str!("../texts/en.toml");

/// Texts by dotted key.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Table);

impl Texts {
    /// The English ones.
    ///
    /// # Errors
    /// The file does not parse.
    pub(crate) fn english() -> Result<Self, toml::de::Error> {
        EN.parse().map(Self)
    }

    /// All of them, for templates: `t.inbox.title`.
    pub(crate) fn all(&self) -> &Table {
        &self.0
    }

    /// One; the key itself if there is none, so that a page always says something.
    pub(crate) fn get<'t>(&'t self, key: &'t str) -> &'t str {
        let (last, sections) = match key.rsplit_once('.') {
            Some((sections, last)) => (last, sections),
            None => (key, ""),
        };
        let mut table = Some(&self.0);
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            table = table.and_then(|table| table.get(section)?.as_table());
        }
        table.and_then(|table| table.get(last)?.as_str()).unwrap_or(key)
    }
}

/// Puts `what` where the text says `{name}`.
pub(crate) fn fill(text: &str, what: &[(&str, &str)]) -> String {
    what.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_dotted_key_and_a_missing_one_says_its_key() {
        let texts = Texts::english().unwrap();
        assert_eq!(texts.get("nav.alerts"), "Alerts");
        assert_eq!(texts.get("nav.nowhere"), "nav.nowhere");
        assert_eq!(texts.get("nowhere.at.all"), "nowhere.at.all");
    }

    #[test]
    fn a_value_stands_where_its_name_was() {
        assert_eq!(fill("{n} of {all}", &[("n", "3"), ("all", "7")]), "3 of 7");
    }
}
