//! `html!`: the syntax of Leptos' `view!`, for one plain type of markup.
//!
//! `view!` gives every piece of markup a type of its own, and the browser gets code to build, hydrate, rebuild and
//! remove each of them. A console is mostly rows and facts that show data: `html!` makes one plain tree type of it
//! (`app/src/ui/node.rs`), which is a view like any other, for a fraction of the bytes.
//!
//! * `<tag name=value flag>…</tag>`; a value is text, a number, a `bool` (present or absent) or an `Option` of these.
//! * `class:name=condition` adds a class.
//! * `{…}` is a child: text, a number, another tree, an `Option` or `Vec` of these, or a Leptos view.
//! * `on:click=closure` listens, with the plain `Event`; `name=following(closure)` lets an attribute follow signals, and
//!   `{Node::follows(closure)}` markup.
//! * Components are refused: they belong into `view!`.

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use rstml::Infallible;
use rstml::node::{KeyedAttribute, Node, NodeAttribute, NodeBlock, NodeElement};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, Lit, Stmt};

/// See the crate's documentation.
#[proc_macro]
pub fn html(input: TokenStream) -> TokenStream {
    let nodes = match rstml::parse2(input.into()) {
        Ok(nodes) => nodes,
        Err(error) => return error.to_compile_error().into(),
    };
    let made = match nodes.as_slice() {
        [one] => node(one).map(|one| quote!(crate::ui::node::Node::from(#one))),
        many => children(many).map(|many| quote!(crate::ui::node::Many::new()#many.done())),
    };
    made.unwrap_or_else(Error::into_compile_error).into()
}

fn children(nodes: &[Node]) -> syn::Result<Tokens> {
    nodes
        .iter()
        .map(|one| node(one).map(|made| quote!(.child(#made))))
        .collect()
}

fn node(node: &Node) -> syn::Result<Tokens> {
    match node {
        Node::Element(one) => element(one),
        Node::Text(text) => {
            let value = &text.value;
            Ok(quote!(#value))
        }
        Node::Block(block) => Ok(expression(block)),
        Node::Fragment(fragment) => {
            let many = children(&fragment.children)?;
            Ok(quote!(crate::ui::node::Many::new()#many.done()))
        }
        other => Err(Error::new(
            other.span(),
            "html! takes elements, quoted text and {blocks}",
        )),
    }
}

/// A block that is one expression stands without its braces.
fn expression(block: &NodeBlock) -> Tokens {
    match block.try_block().map(|block| block.stmts.as_slice()) {
        Some([Stmt::Expr(expression, None)]) => quote!(#expression),
        _ => quote!(#block),
    }
}

fn element(element: &NodeElement<Infallible>) -> syn::Result<Tokens> {
    let tag = element.open_tag.name.to_string();
    if tag.chars().next().is_some_and(char::is_uppercase) {
        return Err(Error::new(
            element.open_tag.name.span(),
            "a component belongs into view!",
        ));
    }
    // What is known now goes into the program as data; the rest is set one by one.
    let mut fixed = Vec::new();
    let mut set = Tokens::new();
    for attribute in element.attributes() {
        let NodeAttribute::Attribute(attribute) = attribute else {
            return Err(Error::new(attribute.span(), "html! takes no attribute blocks"));
        };
        let name = attribute.key.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
        match (literal(attribute), attribute.value()) {
            (Some(text), _) => fixed.push(quote!((#name, #text))),
            (None, None) => fixed.push(quote!((#name, ""))),
            (None, Some(value)) => set.extend(dynamic(&name, value, attribute.key.span())?),
        }
    }
    let children = children(&element.children)?;
    Ok(quote!(crate::ui::node::El::new(#tag, &[#(#fixed),*])#set #children))
}

fn dynamic(name: &str, value: &Expr, at: Span) -> syn::Result<Tokens> {
    match name.split_once(':') {
        None => Ok(quote!(.attr(#name, #value))),
        Some(("class", class)) => Ok(quote!(.class_if(#class, #value))),
        Some(("on", event)) => Ok(quote!(.on(#event, #value))),
        Some((what, _)) => Err(Error::new(at, format!("`{what}:` belongs into view!"))),
    }
}

/// The text of an attribute that is written out as a string.
fn literal(attribute: &KeyedAttribute) -> Option<String> {
    match attribute.value()? {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        }) => Some(text.value()),
        _ => None,
    }
}
