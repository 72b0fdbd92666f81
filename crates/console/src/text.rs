//! Every text that people read, in one place, by key: `texts/en.toml`. Another language is another file.
use toml::Table;

/// The English texts.
const EN: &str = include_str!("../texts/en.toml");

/// Texts by dotted key.
#[derive(Debug, Clone, Default)]
pub struct Texts(Table);

impl Texts {
    /// The English ones.
    ///
    /// # Errors
    /// The file does not parse.
    pub fn english() -> Result<Self, toml::de::Error> {
        EN.parse().map(Self)
    }

    /// All of them, for templates: `t.inbox.title`.
    pub(crate) fn all(&self) -> &Table {
        &self.0
    }

    /// One; the key itself if there is none, so that a page always says something.
    pub(crate) fn get<'t>(&'t self, key: &'t str) -> &'t str {
        self.find(key).unwrap_or(key)
    }

    /// One, if there is one.
    pub fn find(&self, key: &str) -> Option<&str> {
        let (last, sections) = match key.rsplit_once('.') {
            Some((sections, last)) => (last, sections),
            None => (key, ""),
        };
        let mut table = Some(&self.0);
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            table = table.and_then(|table| table.get(section)?.as_table());
        }
        table.and_then(|table| table.get(last)?.as_str())
    }
}

/// Puts `what` where the text says `{name}`.
pub fn fill(text: &str, what: &[(&str, &str)]) -> String {
    what.iter().fold(text.to_owned(), |text, (name, value)| {
        numbered(&text, name, value).replace(&format!("{{{name}}}"), value)
    })
}

/// `{n|alert|alerts}` is the first word where n is 1, and the second one else.
fn numbered(text: &str, name: &str, value: &str) -> String {
    let begin = format!("{{{name}|");
    let mut pieces = text.split(begin.as_str());
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let Some((words, rest)) = piece.split_once('}') else {
            filled.push_str(&begin);
            filled.push_str(piece);
            continue;
        };
        let (one, many) = words.split_once('|').unwrap_or((words, words));
        filled.push_str(if value == "1" { one } else { many });
        filled.push_str(rest);
    }
    filled
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
        let alerts = "{n} {n|alert|alerts} of {m} {m|pen|pens}";
        assert_eq!(fill(alerts, &[("n", "1"), ("m", "2")]), "1 alert of 2 pens");
        assert_eq!(fill(alerts, &[("n", "0"), ("m", "1")]), "0 alerts of 1 pen");
        assert_eq!(fill("{n|cut", &[("n", "1")]), "{n|cut");
    }
}
