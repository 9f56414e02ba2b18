//! Trees in the document: built, changed in place, removed.

use super::{El, Node, Text};
#[cfg(feature = "hydrate")]
use leptos::ev::Event;
use leptos::prelude::{AnyView, Render, RenderEffect, RenderHtml};
use leptos::tachys::hydration::Cursor;
#[cfg(feature = "hydrate")]
use leptos::tachys::renderer::RemoveEventHandler;
use leptos::tachys::renderer::types::{Element, Node as DomNode};
use leptos::tachys::renderer::{CastFrom, Rndr};
use leptos::tachys::view::{Mountable, Position, PositionState};
use std::borrow::Cow;

/// What is kept of a piece that stands in the document.
pub enum State {
    /// Text.
    Text(<Text as Render>::State),
    /// Live text.
    Live(<super::Live as Render>::State),
    /// An element.
    El(ElState),
    /// A view.
    View(<AnyView as Render>::State),
}

/// What is kept of an element.
pub struct ElState {
    dom: Element,
    tag: &'static str,
    attributes: Vec<(&'static str, Text)>,
    children: Vec<State>,
    /// Keeps the attributes that follow signals, and the listeners.
    bonds: Bonds,
}

/// What ties an element to signals and events; gone when dropped.
struct Bonds {
    #[expect(dead_code, reason = "kept alive, not read")]
    live: Vec<RenderEffect<Option<Text>>>,
    #[cfg(feature = "hydrate")]
    #[expect(dead_code, reason = "kept alive, not read")]
    listeners: Vec<RemoveEventHandler<Element>>,
}

impl El {
    fn kept_attributes(&self) -> Vec<(&'static str, Text)> {
        self.fixed
            .iter()
            .filter(|(name, _)| self.set.iter().all(|(other, _)| other != name))
            .map(|(name, value)| (*name, Cow::Borrowed(*value)))
            .chain(self.set.iter().cloned())
            .collect()
    }

    #[inline(never)]
    #[expect(
        clippy::boxed_local,
        reason = "the box is passed on as it is: no copy of the element"
    )]
    fn build(mut self: Box<El>, svg: bool) -> ElState {
        let svg = svg || self.tag == "svg";
        let dom = Rndr::create_element(self.tag, svg.then_some("http://www.w3.org/2000/svg"));
        let attributes = self.kept_attributes();
        for (name, value) in &attributes {
            Rndr::set_attribute(&dom, name, value);
        }
        let bonds = self.bind(&dom);
        let children: Vec<_> = self
            .children
            .into_iter()
            .map(|child| {
                let mut state = child.build_in(svg);
                state.mount(&dom, None);
                state
            })
            .collect();
        ElState {
            dom,
            tag: self.tag,
            attributes,
            children,
            bonds,
        }
    }

    /// Lets attributes follow their signals, and listens.
    fn bind(&mut self, dom: &Element) -> Bonds {
        let live = self.live.drain(..).map(|(name, mut value)| {
            let dom = dom.clone();
            RenderEffect::new(move |before: Option<Option<Text>>| {
                let now = value();
                if before.as_ref() != Some(&now) {
                    match &now {
                        Some(text) => Rndr::set_attribute(&dom, name, text),
                        None => Rndr::remove_attribute(&dom, name),
                    }
                }
                now
            })
        });
        Bonds {
            live: live.collect(),
            #[cfg(feature = "hydrate")]
            listeners: self
                .on
                .drain(..)
                .map(|(event, then)| listen(dom, event, then.take()))
                .collect(),
        }
    }

    #[inline(never)]
    #[expect(
        clippy::boxed_local,
        reason = "the box is passed on as it is: no copy of the element"
    )]
    fn rebuild(mut self: Box<El>, state: &mut ElState) {
        let attributes = self.kept_attributes();
        if attributes != state.attributes {
            for (name, value) in &attributes {
                if state
                    .attributes
                    .iter()
                    .all(|old| old.0 != *name || old.1 != *value)
                {
                    Rndr::set_attribute(&state.dom, name, value);
                    // What a person has touched follows its property, no longer its attribute.
                    if matches!(*name, "selected" | "checked") {
                        set_flag(&state.dom, name, true);
                    }
                }
            }
            for (name, _) in &state.attributes {
                if attributes.iter().all(|new| new.0 != *name) {
                    Rndr::remove_attribute(&state.dom, name);
                    if matches!(*name, "selected" | "checked") {
                        set_flag(&state.dom, name, false);
                    }
                }
            }
            // A tick that stands for another row now is that row's, whatever a person did to the one before.
            let value =
                |all: &[(&str, Text)]| all.iter().find(|one| one.0 == "value").map(|one| one.1.clone());
            if self.tag == "input" && value(&attributes) != value(&state.attributes) {
                set_flag(
                    &state.dom,
                    "checked",
                    attributes.iter().any(|one| one.0 == "checked"),
                );
            }
            state.attributes = attributes;
        }
        state.bonds = self.bind(&state.dom);
        for gone in state
            .children
            .drain(self.children.len().min(state.children.len())..)
        {
            let mut gone = gone;
            gone.unmount();
        }
        let svg = state.dom.namespace_uri().is_some_and(|uri| uri.ends_with("svg"));
        for (at, child) in self.children.into_iter().enumerate() {
            match state.children.get_mut(at) {
                Some(old) => child.rebuild_in(old, svg),
                None => {
                    let mut new = child.build_in(svg);
                    new.mount(&state.dom, None);
                    state.children.push(new);
                }
            }
        }
    }
}

#[cfg(feature = "hydrate")]
fn listen(dom: &Element, event: &str, mut then: Box<dyn FnMut(Event)>) -> RemoveEventHandler<Element> {
    use wasm_bindgen::JsCast;
    Rndr::add_event_listener(dom, event, Box::new(move |value| then(value.unchecked_into())))
}

fn set_flag(dom: &Element, name: &str, on: bool) {
    #[cfg(feature = "hydrate")]
    Rndr::set_property(dom, name, &wasm_bindgen::JsValue::from_bool(on));
    #[cfg(not(feature = "hydrate"))]
    let _ = (dom, name, on);
}

impl Node {
    pub(super) fn build_in(self, svg: bool) -> State {
        match self.whole() {
            Node::Text(text) => State::Text(text.build()),
            Node::Live(live) => State::Live(live.build()),
            Node::View(view) => State::View(view.build()),
            Node::El(el) => State::El(el.build(svg)),
            // `whole` has made an element of it.
            Node::Many(_) => State::Text(Text::default().build()),
        }
    }

    pub(super) fn rebuild_in(self, state: &mut State, svg: bool) {
        match (self.whole(), state) {
            (Node::Text(text), State::Text(state)) => text.rebuild(state),
            (Node::Live(live), State::Live(state)) => live.rebuild(state),
            (Node::View(view), State::View(state)) => view.rebuild(state),
            (Node::El(el), State::El(state)) if el.tag == state.tag => el.rebuild(state),
            (other, state) => {
                let mut new = other.build_in(svg);
                state.insert_before_this(&mut new);
                state.unmount();
                *state = new;
            }
        }
    }
}

impl El {
    #[inline(never)]
    pub(super) fn hydrate<const FROM_SERVER: bool>(
        mut self: Box<El>,
        cursor: &Cursor,
        position: &PositionState,
    ) -> ElState {
        match position.get() {
            Position::FirstChild => cursor.child(),
            Position::Current => {}
            _ => cursor.sibling(),
        }
        let here: DomNode = cursor.current();
        let attributes = self.kept_attributes();
        let Some(dom) = Element::cast_from(here) else {
            // The document is not what the server wrote (an extension changed it). A fresh element keeps the rest alive.
            return self.build(false);
        };
        let bonds = self.bind(&dom);
        let mut children = Vec::with_capacity(self.children.len());
        if !self.children.is_empty() {
            position.set(Position::FirstChild);
            for child in self.children {
                children.push(child.hydrate::<FROM_SERVER>(cursor, position));
            }
            cursor.set(dom.clone().into());
        }
        position.set(Position::NextChild);
        ElState {
            dom,
            tag: self.tag,
            attributes,
            children,
            bonds,
        }
    }
}

impl Mountable for State {
    fn unmount(&mut self) {
        match self {
            State::Text(state) => state.unmount(),
            State::Live(state) => state.unmount(),
            State::View(state) => state.unmount(),
            State::El(state) => {
                Rndr::remove(&state.dom);
            }
        }
    }

    fn mount(&mut self, parent: &Element, marker: Option<&DomNode>) {
        match self {
            State::Text(state) => state.mount(parent, marker),
            State::Live(state) => state.mount(parent, marker),
            State::View(state) => state.mount(parent, marker),
            State::El(state) => Rndr::insert_node(parent, &state.dom, marker),
        }
    }

    fn insert_before_this(&self, child: &mut dyn Mountable) -> bool {
        match self {
            State::Text(state) => state.insert_before_this(child),
            State::Live(state) => state.insert_before_this(child),
            State::View(state) => state.insert_before_this(child),
            State::El(state) => match Rndr::get_parent(&state.dom).and_then(Element::cast_from) {
                Some(parent) => {
                    child.mount(&parent, Some(&state.dom));
                    true
                }
                None => false,
            },
        }
    }

    fn elements(&self) -> Vec<Element> {
        match self {
            State::Text(_) => Vec::new(),
            State::Live(state) => state.elements(),
            State::View(state) => state.elements(),
            State::El(state) => vec![state.dom.clone()],
        }
    }
}
