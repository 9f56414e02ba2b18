//! Trees as Leptos views: written to HTML on the server, found again in the document by the browser.

use super::dom::State;
use super::{El, Node, Text};
use leptos::prelude::{Render, RenderHtml};
use leptos::tachys::html::attribute::Attribute;
use leptos::tachys::html::attribute::any_attribute::AnyAttribute;
use leptos::tachys::hydration::Cursor;
use leptos::tachys::ssr::StreamBuilder;
use leptos::tachys::view::add_attr::AddAnyAttr;
use leptos::tachys::view::{Position, PositionState};

impl El {
    /// The opening tag.
    fn open(&mut self, out: &mut String) {
        out.push('<');
        out.push_str(self.tag);
        // An attribute that was set hides a fixed one of the same name.
        for (name, value) in self.fixed {
            if self.set.iter().all(|(other, _)| other != name) {
                attribute(name, value, out);
            }
        }
        for (name, value) in &self.set {
            attribute(name, value, out);
        }
        for (name, value) in &mut self.live {
            if let Some(value) = value() {
                attribute(name, &value, out);
            }
        }
        out.push('>');
    }

    fn is_void(&self) -> bool {
        matches!(self.tag, "input" | "br" | "hr" | "img" | "link" | "meta")
    }
}

fn attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    if !value.is_empty() {
        out.push_str("=\"");
        escape(value, out);
        out.push('"');
    }
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}

impl Render for Node {
    type State = State;

    fn build(self) -> State {
        self.build_in(false)
    }

    fn rebuild(self, state: &mut State) {
        self.rebuild_in(state, false);
    }
}

/// Attributes from outside have no place here: `html!` is the only one who writes these elements.
impl AddAnyAttr for Node {
    type Output<A: Attribute> = Node;

    fn add_any_attr<A: Attribute>(self, _: A) -> Node
    where
        Self::Output<A>: RenderHtml,
    {
        self
    }
}

impl RenderHtml for Node {
    type AsyncOutput = Node;
    type Owned = Node;

    const MIN_LENGTH: usize = 0;

    fn dry_resolve(&mut self) {
        match self {
            Node::View(view) => view.dry_resolve(),
            Node::El(el) => el.children.iter_mut().for_each(RenderHtml::dry_resolve),
            Node::Many(many) => many.iter_mut().for_each(RenderHtml::dry_resolve),
            Node::Text(_) | Node::Live(_) => {}
        }
    }

    /// Nothing in a tree waits: what waits stands around it.
    async fn resolve(self) -> Node {
        self
    }

    fn to_html_with_buf(
        self,
        out: &mut String,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        _: Vec<AnyAttribute>,
    ) {
        match self.whole() {
            Node::Text(text) => text.to_html_with_buf(out, position, escape, mark_branches, vec![]),
            Node::Live(live) => live.to_html_with_buf(out, position, escape, mark_branches, vec![]),
            Node::View(view) => view.to_html_with_buf(out, position, escape, mark_branches, vec![]),
            Node::El(mut el) => {
                el.open(out);
                if !el.is_void() {
                    let tag = el.tag;
                    *position = Position::FirstChild;
                    for child in el.children {
                        child.to_html_with_buf(out, position, escape, mark_branches, vec![]);
                    }
                    out.push_str("</");
                    out.push_str(tag);
                    out.push('>');
                }
                *position = Position::NextChild;
            }
            Node::Many(_) => {}
        }
    }

    fn to_html_async_with_buf<const OUT_OF_ORDER: bool>(
        self,
        out: &mut StreamBuilder,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        _: Vec<AnyAttribute>,
    ) {
        match self.whole() {
            Node::View(view) => {
                view.to_html_async_with_buf::<OUT_OF_ORDER>(out, position, escape, mark_branches, vec![]);
            }
            Node::El(mut el) if el.children.iter().any(Node::holds_view) => {
                let mut text = String::new();
                el.open(&mut text);
                out.push_sync(&text);
                let tag = el.tag;
                *position = Position::FirstChild;
                for child in el.children {
                    child.to_html_async_with_buf::<OUT_OF_ORDER>(
                        out,
                        position,
                        escape,
                        mark_branches,
                        vec![],
                    );
                }
                out.push_sync(&format!("</{tag}>"));
                *position = Position::NextChild;
            }
            plain => {
                let mut text = String::new();
                plain.to_html_with_buf(&mut text, position, escape, mark_branches, vec![]);
                out.push_sync(&text);
            }
        }
    }

    fn hydrate<const FROM_SERVER: bool>(self, cursor: &Cursor, position: &PositionState) -> State {
        match self.whole() {
            Node::Text(text) => State::Text(text.hydrate::<FROM_SERVER>(cursor, position)),
            Node::Live(live) => State::Live(live.hydrate::<FROM_SERVER>(cursor, position)),
            Node::View(view) => State::View(view.hydrate::<FROM_SERVER>(cursor, position)),
            Node::El(el) => State::El(el.hydrate::<FROM_SERVER>(cursor, position)),
            Node::Many(_) => State::Text(Text::default().build()),
        }
    }

    fn into_owned(self) -> Node {
        self
    }
}

impl Node {
    fn holds_view(&self) -> bool {
        match self {
            Node::View(_) => true,
            Node::El(el) => el.children.iter().any(Node::holds_view),
            Node::Many(many) => many.iter().any(Node::holds_view),
            Node::Text(_) | Node::Live(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ui::node::{Node, following};
    use bagua_markup::html;
    use leptos::prelude::*;

    fn written(node: Node) -> String {
        Owner::new().with(|| node.list().to_html())
    }

    #[test]
    fn text_and_values_cannot_break_out_of_their_place() {
        let evil = "\"><script>alert(1)</script>".to_owned();
        let html = written(html! { <p title=evil.clone()>{evil}</p> });
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("title=\"&quot;&gt;&lt;script&gt;"), "{html}");
    }

    #[test]
    fn what_is_absent_is_left_out_and_pieces_side_by_side_get_no_box() {
        let none: Option<String> = None;
        let html = written(html! {
            <ul class="rows" class:wide=true class:narrow=false id=none hidden=false>
                {vec![1u32, 2].into_iter().map(|n| html! { <li>{n}</li> }).collect::<Node>()}
                {None::<Node>}
            </ul>
            <p>"end"</p>
        });
        assert!(
            html.starts_with("<ul class=\"rows wide\"><li>1</li><li>2</li></ul><p>end</p>"),
            "{html}"
        );
    }

    #[test]
    fn views_and_what_follows_signals_stand_in_the_tree() {
        let html = written(html! {
            <div aria-current=following(|| Some("page")) data-none=following(|| None::<String>)>
                <b>{Node::live(|| "now".to_owned())}</b>
                {view! { <i>"view"</i> }.into_any()}
            </div>
        });
        assert!(
            html.contains("<div aria-current=\"page\"><b>now</b><i>view</i>"),
            "{html}"
        );
    }
}
