//! A plain tree of markup as a Leptos view: what `html!` makes.
//!
//! One type for every row, table and card that only shows data. It is written to HTML on the server, hydrated in the
//! browser and, when news comes, changed in place: what stays the same is not touched, so focus and selection stay.

mod dom;
mod html;

use leptos::ev::Event;
use leptos::prelude::{AnyView, IntoAny};
#[cfg(feature = "hydrate")]
use send_wrapper::SendWrapper;
use std::borrow::Cow;

type Text = Cow<'static, str>;
/// Text that follows signals.
type Live = Box<dyn FnMut() -> String + Send>;
/// An attribute that follows signals; `None` leaves it out.
type LiveValue = Box<dyn FnMut() -> Option<Text> + Send>;
/// Markup that follows signals.
type Follows = Box<dyn FnMut() -> Vec<Node> + Send>;

/// A piece of markup. Small, so that moving it about costs little code: what is large stands behind a pointer.
pub enum Node {
    /// Text, escaped where it is written.
    Text(Text),
    /// Text that follows signals.
    Live(Live),
    /// An element.
    El(Box<El>),
    /// A Leptos view.
    View(Box<AnyView>),
    /// Several pieces side by side; dissolved as soon as it becomes a child.
    Many(Vec<Node>),
}

/// What runs when an event comes. The browser has one thread; the wrapper says so to Leptos.
#[cfg(feature = "hydrate")]
type Handler = SendWrapper<Box<dyn FnMut(Event)>>;

/// An element with its attributes and children.
pub struct El {
    tag: &'static str,
    fixed: &'static [(&'static str, &'static str)],
    set: Vec<(&'static str, Text)>,
    live: Vec<(&'static str, LiveValue)>,
    #[cfg(feature = "hydrate")]
    on: Vec<(&'static str, Handler)>,
    children: Vec<Node>,
}

/// Pieces that are put together one by one.
pub struct Many(Vec<Node>);

impl Many {
    /// Nothing yet.
    pub fn new() -> Many {
        Many(Vec::new())
    }

    /// One more.
    pub fn child(mut self, child: impl Into<Node>) -> Many {
        push(&mut self.0, child.into());
        self
    }

    /// All of them.
    pub fn done(self) -> Node {
        Node::Many(self.0)
    }
}

#[inline(never)]
fn push(children: &mut Vec<Node>, child: Node) {
    match child {
        Node::Many(many) => children.extend(many),
        one => children.push(one),
    }
}

// Every method takes and answers the box: the call is a pointer in the program, not a copy of the element.
impl El {
    /// An element with the attributes that are known while compiling.
    #[inline(never)]
    pub fn new(tag: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Box<El> {
        Box::new(El {
            tag,
            fixed,
            set: Vec::new(),
            live: Vec::new(),
            #[cfg(feature = "hydrate")]
            on: Vec::new(),
            children: Vec::new(),
        })
    }

    /// Sets an attribute, or leaves it out.
    pub fn attr(self: Box<El>, name: &'static str, value: impl Value) -> Box<El> {
        value.put(name, self)
    }

    #[inline(never)]
    fn set(mut self: Box<El>, name: &'static str, value: Option<Text>) -> Box<El> {
        if let Some(value) = value {
            self.set.push((name, value));
        }
        self
    }

    #[inline(never)]
    fn follow(mut self: Box<El>, name: &'static str, value: LiveValue) -> Box<El> {
        self.live.push((name, value));
        self
    }

    /// Adds a class when `on`. The element's `class` stands before it.
    #[inline(never)]
    pub fn class_if(mut self: Box<El>, class: &'static str, on: bool) -> Box<El> {
        if on {
            match self.set.iter_mut().find(|(name, _)| *name == "class") {
                Some((_, text)) => *text = format!("{text} {class}").into(),
                None => {
                    let fixed = self
                        .fixed
                        .iter()
                        .find(|(name, _)| *name == "class")
                        .map(|(_, text)| *text);
                    let text = fixed.map_or(Cow::Borrowed(class), |fixed| format!("{fixed} {class}").into());
                    self.set.push(("class", text));
                }
            }
        }
        self
    }

    /// Listens to an event, in the browser.
    pub fn on(self: Box<El>, event: &'static str, then: impl FnMut(Event) + 'static) -> Box<El> {
        #[cfg(feature = "hydrate")]
        {
            let mut this = self;
            this.on.push((event, SendWrapper::new(Box::new(then))));
            this
        }
        #[cfg(not(feature = "hydrate"))]
        {
            let _ = (event, then);
            self
        }
    }

    /// Adds a child.
    pub fn child(self: Box<El>, child: impl Into<Node>) -> Box<El> {
        self.add(child.into())
    }

    #[inline(never)]
    fn add(mut self: Box<El>, child: Node) -> Box<El> {
        push(&mut self.children, child);
        self
    }
}

/// What can stand as the value of an attribute.
pub trait Value {
    /// Puts the value into the element.
    fn put(self, name: &'static str, el: Box<El>) -> Box<El>;
}

impl Value for &'static str {
    fn put(self, name: &'static str, el: Box<El>) -> Box<El> {
        el.set(name, Some(Cow::Borrowed(self)))
    }
}

impl Value for String {
    fn put(self, name: &'static str, el: Box<El>) -> Box<El> {
        el.set(name, Some(Cow::Owned(self)))
    }
}

impl Value for bool {
    fn put(self, name: &'static str, el: Box<El>) -> Box<El> {
        el.set(name, self.then_some(Cow::Borrowed("")))
    }
}

impl<V: Value> Value for Option<V> {
    fn put(self, name: &'static str, el: Box<El>) -> Box<El> {
        match self {
            Some(value) => value.put(name, el),
            None => el,
        }
    }
}

/// An attribute's value that follows signals; `None` leaves the attribute out.
pub struct Following(LiveValue);

/// Makes an attribute follow signals: `aria-current=following(move || …)`.
pub fn following<T: Into<Text>>(mut value: impl FnMut() -> Option<T> + Send + 'static) -> Following {
    Following(Box::new(move || value().map(Into::into)))
}

impl Value for Following {
    fn put(self, name: &'static str, el: Box<El>) -> Box<El> {
        el.follow(name, self.0)
    }
}

impl From<&'static str> for Node {
    fn from(text: &'static str) -> Node {
        Node::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Text(Cow::Owned(text))
    }
}

impl From<u32> for Node {
    fn from(number: u32) -> Node {
        number.to_string().into()
    }
}

impl From<i64> for Node {
    fn from(number: i64) -> Node {
        number.to_string().into()
    }
}

impl From<Box<El>> for Node {
    fn from(el: Box<El>) -> Node {
        Node::El(el)
    }
}

impl From<AnyView> for Node {
    fn from(view: AnyView) -> Node {
        Node::View(Box::new(view))
    }
}

impl From<()> for Node {
    fn from((): ()) -> Node {
        Node::Many(Vec::new())
    }
}

impl<N: Into<Node>> From<Option<N>> for Node {
    fn from(one: Option<N>) -> Node {
        one.map_or_else(|| ().into(), Into::into)
    }
}

impl<N: Into<Node>> From<Vec<N>> for Node {
    fn from(many: Vec<N>) -> Node {
        many.into_iter().collect()
    }
}

impl<N: Into<Node>> FromIterator<N> for Node {
    fn from_iter<I: IntoIterator<Item = N>>(many: I) -> Node {
        let mut out = Vec::new();
        many.into_iter().for_each(|one| push(&mut out, one.into()));
        Node::Many(out)
    }
}

impl Node {
    /// Text that follows signals.
    pub fn live(text: impl FnMut() -> String + Send + 'static) -> Node {
        Node::Live(Box::new(text))
    }

    /// Markup that follows signals.
    pub fn follows(mut markup: impl FnMut() -> Node + Send + 'static) -> Node {
        let markup: Follows = Box::new(move || markup().list());
        Node::from(markup.into_any())
    }

    /// The tree as a Leptos view, for a place that takes one.
    pub fn view(self) -> AnyView {
        match self {
            Node::View(view) => *view,
            other => other.list().into_any(),
        }
    }

    /// The pieces side by side.
    pub fn list(self) -> Vec<Node> {
        match self {
            Node::Many(many) => many,
            one => vec![one],
        }
    }

    /// Several pieces have no place of their own in the document; [`Node::view`] and [`push`] dissolve them.
    fn whole(self) -> Node {
        match self {
            Node::Many(many) => many.into_iter().fold(El::new("div", &[]), El::add).into(),
            one => one,
        }
    }
}
