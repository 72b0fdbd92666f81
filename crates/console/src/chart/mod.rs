//! Drawings as SVG, made here: no script, no library. Every one has a title and a description for whoever cannot see it.
mod across;
pub(crate) mod course;
pub(crate) mod mark;
pub(crate) mod moment;
mod plane;
mod scale;

use std::fmt::Write as _;

pub(crate) use scale::Scale;

use crate::render::Svg;

/// Markup that grows; every text in it is escaped.
pub(crate) struct Drawing {
    markup: String,
    description: String,
}

/// Text as markup.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
        safe
    })
}

impl Drawing {
    /// Begins a drawing of this size, with what it is for whoever cannot see it.
    pub(crate) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut own = Self {
            markup: String::new(),
            description: description.to_owned(),
        };
        own.put(format_args!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\
             <title>{}</title><desc>{}</desc>",
            escape(title),
            escape(description)
        ));
        own
    }

    /// Markup of ours: texts in it are escaped already.
    fn put(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.markup.write_fmt(markup);
    }

    /// A line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through points, or an area if `closed`.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        if points.is_empty() {
            return;
        }
        let mut d = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            let _ = write!(d, "{step}{x:.1} {y:.1}");
        }
        let end = if closed { "Z" } else { "" };
        self.put(format_args!("<path class=\"{class}\" d=\"{d}{end}\"/>"));
    }

    /// A circle.
    pub(crate) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.put(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"
        ));
    }

    /// Text; `anchor` is start, middle or end.
    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        ));
    }

    /// The whole.
    pub(crate) fn end(mut self) -> Svg {
        self.markup.push_str("</svg>");
        Svg {
            markup: self.markup,
            description: self.description,
        }
    }
}
