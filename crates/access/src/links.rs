//! One-time links: the first administrator, new people, forgotten passwords.

use crate::record::{self, Visitor};
use crate::sign_in::{SignedIn, email_subject, hash_failure};
use crate::store::invitations::{self, Invitation, New};
use crate::store::{Person, counters, people, sessions, tokens};
use crate::token::{self, NewLink, TokenHash};
use crate::{Access, email, password};
use bagua_core::audit::AuditRecord;
use bagua_core::{Actor, db};
use bagua_model::access::{Grant, InvitationView, Purpose, Role, role_argument, scope_argument};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::region::Scope;
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a link can be used.
pub const VALID: Duration = Duration::hours(24);

/// What a person types on the page behind a link.
#[derive(Clone, Default)]
pub struct Acceptance {
    /// E-mail address; read for the first administrator only, others have one.
    pub email: String,
    /// Shown name; the one so far, or the e-mail address, when empty.
    pub name: String,
    /// The new password.
    pub password: String,
}

fn lapsed() -> Failure {
    Failure::new(FailureKind::NotFound, Text::new(keys::FAILURE_INVITATION))
}

fn lapsed_first_admin() -> Failure {
    Failure::new(
        FailureKind::NotFound,
        Text::new(keys::FAILURE_INVITATION_FIRST_ADMIN),
    )
}

fn no_random(error: impl std::fmt::Display) -> Failure {
    tracing::error!(%error, "the operating system gives no random bits");
    Failure::internal()
}

/// Makes a link for `person.invite`: the submitter keeps the link and gives only the hash to the operation.
///
/// # Errors
/// When the operating system gives no random bits.
pub fn new_link(public_url: &str) -> Result<NewLink, Failure> {
    token::new_link(public_url).map_err(no_random)
}

impl Access {
    /// The one-time link for the first administrator, or `None` when somebody can administer this console already. An
    /// earlier link lapses.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn first_admin_link(&self, public_url: &str) -> Result<Option<String>, Failure> {
        let made = token::new_link(public_url).map_err(no_random)?;
        let open = self.open_first_admin(&made.hash).await.map_err(db::failure)?;
        Ok(open.then_some(made.link))
    }

    async fn open_first_admin(&self, hash: &TokenHash) -> sqlx::Result<bool> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        people::lock(&mut tx).await?;
        if people::administrators(&mut *tx, self.environment, None).await? > 0 {
            return Ok(false);
        }
        let actor = Actor::system("console");
        self.open_link(&mut tx, hash, Purpose::FirstAdmin, None, &actor, now)
            .await?;
        let mut audit = AuditRecord::new(&actor, "first-admin-link", "succeeded", now);
        audit.environment = Some(self.environment);
        record::write(&mut tx, &audit).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Stores a link's hash in place of the earlier link for the same purpose and person.
    pub(crate) async fn open_link(
        &self,
        tx: &mut PgConnection,
        hash: &TokenHash,
        purpose: Purpose,
        person: Option<Uuid>,
        by: &Actor,
        now: OffsetDateTime,
    ) -> sqlx::Result<()> {
        invitations::void(&mut *tx, person, now).await?;
        let new = New {
            hash,
            purpose,
            person,
            by: &by.label(),
            now,
            valid: VALID,
        };
        invitations::insert(&mut *tx, new).await
    }

    /// What the page behind a link shows, or `None` when the link is used up, lapsed, or never was one.
    ///
    /// # Errors
    /// When PostgreSQL is away.
    pub async fn invitation(&self, token: &str) -> Result<Option<InvitationView>, Failure> {
        self.look_up(token).await.map_err(db::failure)
    }

    async fn look_up(&self, token: &str) -> sqlx::Result<Option<InvitationView>> {
        let now = self.clock.now();
        let Some(link) = invitations::open(&self.db, &token::hash(token), now).await? else {
            return Ok(None);
        };
        let person = self.addressee(&link).await?;
        if link.person.is_some() && person.is_none() {
            return Ok(None);
        }
        let (email, name) = person.map(|p| (p.email, p.name)).unwrap_or_default();
        Ok(Some(InvitationView {
            purpose: link.purpose,
            email,
            name,
            expires_at: link.expires_at,
        }))
    }

    /// The person whom a link is for, unless they have been disabled since.
    async fn addressee(&self, link: &Invitation) -> sqlx::Result<Option<Person>> {
        match link.person {
            Some(person) => Ok(people::by_id(&self.db, person).await?.filter(|p| !p.disabled)),
            None => Ok(None),
        }
    }

    /// Uses a link up: sets name and password (and makes the first administrator), ends the person's other sessions,
    /// lifts a lock-out, and signs the person in.
    ///
    /// # Errors
    /// `Invalid` with field errors (`email`, `name`, `password`), the link stays open then; `NotFound` when the link is
    /// used up or has lapsed; `Unavailable` when PostgreSQL is away.
    pub async fn accept_invitation(
        &self,
        token: &str,
        typed: Acceptance,
        visitor: &Visitor,
    ) -> Result<SignedIn, Failure> {
        let now = self.clock.now();
        let link = invitations::open(&self.db, &token::hash(token), now)
            .await
            .map_err(db::failure)?;
        let link = link.ok_or_else(lapsed)?;
        let known = self.addressee(&link).await.map_err(db::failure)?;
        if link.person.is_some() && known.is_none() {
            return Err(lapsed());
        }
        let (email, name) = fields(&typed, known.as_ref())?;
        // Hashed before the transaction: it takes longer than a lock should be held.
        let hash = self.passwords.hash(typed.password).await.map_err(hash_failure)?;
        self.take_up(&link, known, &email, &name, &hash, &visitor.tidy())
            .await
    }

    async fn take_up(
        &self,
        link: &Invitation,
        known: Option<Person>,
        email: &str,
        name: &str,
        hash: &str,
        visitor: &Visitor,
    ) -> Result<SignedIn, Failure> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await.map_err(db::failure)?;
        people::lock(&mut tx).await.map_err(db::failure)?;
        if !invitations::take(&mut *tx, link.id, now)
            .await
            .map_err(db::failure)?
        {
            return Err(lapsed());
        }
        let (person, action) = match known {
            None => (
                self.make_first_admin(&mut tx, email, name, hash, now).await?,
                "first-admin",
            ),
            Some(known) => {
                let person = Person {
                    name: name.to_owned(),
                    ..known
                };
                people::set_password(&mut *tx, person.id, name, hash)
                    .await
                    .map_err(db::failure)?;
                let reset = link.purpose == Purpose::Reset;
                (person, if reset { "password-reset" } else { "password-set" })
            }
        };
        let rest = async {
            sessions::revoke_all(&mut *tx, person.id, now).await?;
            // Whoever had the old password may have made tokens with it.
            tokens::revoke_all(&mut *tx, person.id, &person.label(), now).await?;
            counters::clear(&mut *tx, &email_subject(&person.email)).await?;
            record::write(&mut tx, &self.own_record(&person, action, "succeeded", now)).await?;
            let key = if action == "first-admin" {
                keys::EVENT_PERSON_FIRST_ADMIN
            } else {
                keys::EVENT_PERSON_WELCOMED
            };
            let text = Text::new(key).with("person", &person.name);
            record::event(
                &mut tx,
                self.environment,
                "person.welcomed",
                person.id,
                text,
                now,
                true,
            )
            .await?;
            let signed_in = self.open_session(&mut tx, &person, visitor, now).await?;
            tx.commit().await?;
            Ok(signed_in)
        };
        let signed_in = rest.await.map_err(db::failure)?;
        self.sessions.people_changed();
        Ok(signed_in)
    }

    /// The link is for whoever holds it, so it may neither take over an account that exists nor make a second "first".
    async fn make_first_admin(
        &self,
        tx: &mut PgConnection,
        email: &str,
        name: &str,
        hash: &str,
        now: OffsetDateTime,
    ) -> Result<Person, Failure> {
        if people::administrators(&mut *tx, self.environment, None)
            .await
            .map_err(db::failure)?
            > 0
        {
            return Err(lapsed_first_admin());
        }
        if people::by_email(&mut *tx, email)
            .await
            .map_err(db::failure)?
            .is_some()
        {
            return Err(Failure::field(
                "email",
                Text::new(keys::FAILURE_PERSON_EXISTS).with("email", email),
            ));
        }
        let id = Uuid::now_v7();
        let grant = Grant {
            role: Role::Administrator,
            scope: Scope::ANY,
        };
        people::insert(&mut *tx, id, email, name, Some(hash), now)
            .await
            .map_err(db::failure)?;
        people::grant(&mut *tx, id, &grant, "first administrator's link", now)
            .await
            .map_err(db::failure)?;
        Ok(Person {
            id,
            email: email.to_owned(),
            name: name.to_owned(),
            password_hash: None,
            disabled: false,
        })
    }

    /// Makes a person with one role, for the machine's own command line, and gives the one-time link with which they set
    /// their password.
    ///
    /// # Errors
    /// `Invalid` with field errors, also when there is such a person; `Unavailable` when PostgreSQL is away.
    pub async fn admin_create(
        &self,
        actor: &Actor,
        public_url: &str,
        typed_email: &str,
        name: Option<&str>,
        grant: Grant,
    ) -> Result<String, Failure> {
        let email = valid_email(typed_email)?;
        let name = valid_name(name.unwrap_or_default(), &email)?;
        let made = new_link(public_url)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await.map_err(db::failure)?;
        let person = self
            .add_person(&mut tx, &email, &name, &grant, actor, now)
            .await?;
        let done = async {
            self.open_link(&mut tx, &made.hash, Purpose::Welcome, Some(person), actor, now)
                .await?;
            let mut audit = AuditRecord::new(actor, "person-create", "succeeded", now);
            audit.environment = Some(self.environment);
            audit.target = Some(format!("person:{person}"));
            audit.detail = json!({ "email": email, "role": grant.role, "scope": grant.scope });
            record::write(&mut tx, &audit).await?;
            tx.commit().await
        };
        done.await.map_err(db::failure)?;
        Ok(made.link)
    }

    /// The rows of a new person, with the event.
    pub(crate) async fn add_person(
        &self,
        tx: &mut PgConnection,
        email: &str,
        name: &str,
        grant: &Grant,
        by: &Actor,
        now: OffsetDateTime,
    ) -> Result<Uuid, Failure> {
        let id = Uuid::now_v7();
        people::insert(&mut *tx, id, email, name, None, now)
            .await
            .map_err(|error| {
                if db::broken_constraint(&error) == Some("people_email_unique") {
                    return Failure::field(
                        "email",
                        Text::new(keys::FAILURE_PERSON_EXISTS).with("email", email),
                    );
                }
                db::failure(error)
            })?;
        people::grant(&mut *tx, id, grant, &by.label(), now)
            .await
            .map_err(db::failure)?;
        let text = Text::new(keys::EVENT_PERSON_CREATED)
            .with("person", name)
            .with("role", role_argument(grant.role))
            .with("scope", scope_argument(&grant.scope));
        record::event(tx, self.environment, "person.created", id, text, now, true)
            .await
            .map_err(db::failure)?;
        Ok(id)
    }

    /// The one-time link with which a person sets a new password, for the machine's own command line.
    ///
    /// # Errors
    /// `NotFound` when there is no such person, `Conflict` when they are disabled, `Unavailable` when PostgreSQL is away.
    pub async fn admin_reset(
        &self,
        actor: &Actor,
        public_url: &str,
        typed_email: &str,
    ) -> Result<String, Failure> {
        let email = valid_email(typed_email)?;
        let made = new_link(public_url)?;
        let mut tx = self.db.begin().await.map_err(db::failure)?;
        let person = people::by_email(&mut *tx, &email).await.map_err(db::failure)?;
        let person = person.ok_or_else(|| Failure::not_found(&email))?;
        let done = async {
            self.invite(&mut tx, &person, &made.hash, actor).await?;
            let now = self.clock.now();
            let mut audit = AuditRecord::new(actor, "person-reset", "succeeded", now);
            audit.environment = Some(self.environment);
            audit.target = Some(format!("person:{}", person.id));
            record::write(&mut tx, &audit).await.map_err(db::failure)?;
            tx.commit().await.map_err(db::failure)
        };
        done.await?;
        Ok(made.link)
    }

    /// Opens a link for a person: their first password, or a new one.
    pub(crate) async fn invite(
        &self,
        tx: &mut PgConnection,
        person: &Person,
        hash: &TokenHash,
        by: &Actor,
    ) -> Result<(), Failure> {
        if person.disabled {
            let text = Text::new(keys::FAILURE_PERSON_DISABLED).with("person", person.label());
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        let now = self.clock.now();
        let purpose = if person.password_hash.is_some() {
            Purpose::Reset
        } else {
            Purpose::Welcome
        };
        let opened = self.open_link(tx, hash, purpose, Some(person.id), by, now).await;
        opened.map_err(|error| match db::broken_constraint(&error) {
            Some("invitations_token_unique") => {
                Failure::field("token_hash", Text::new(keys::FAILURE_TOKEN_USED))
            }
            _ => db::failure(error),
        })?;
        let text = Text::new(keys::EVENT_PERSON_INVITED).with("person", &person.name);
        record::event(tx, self.environment, "person.invited", person.id, text, now, true)
            .await
            .map_err(db::failure)
    }
}

pub(crate) fn valid_email(typed: &str) -> Result<String, Failure> {
    email::normalise(typed).ok_or_else(|| Failure::field("email", Text::new(keys::FIELD_EMAIL)))
}

pub(crate) fn valid_name(typed: &str, email: &str) -> Result<String, Failure> {
    // A very long e-mail address is no fit name.
    let fallback: String = email.chars().take(120).collect();
    email::display_name(typed, &fallback).ok_or_else(|| Failure::field("name", Text::new(keys::FIELD_NAME)))
}

/// E-mail address and name, or every field error at once: a person should not meet them one after the other.
fn fields(typed: &Acceptance, known: Option<&Person>) -> Result<(String, String), Failure> {
    let mut wrong = Vec::new();
    let mut keep = |result: Result<String, Failure>| {
        result.unwrap_or_else(|failure| {
            wrong.extend(failure.fields);
            String::new()
        })
    };
    let email = match known {
        Some(person) => person.email.clone(),
        None => keep(valid_email(&typed.email)),
    };
    let name = match known {
        Some(person) if typed.name.trim().is_empty() => person.name.clone(),
        _ => keep(valid_name(
            &typed.name,
            if email.is_empty() { "-" } else { &email },
        )),
    };
    if let Err(text) = password::judge(&typed.password, &email, &name) {
        wrong.push(("password".to_owned(), text));
    }
    if wrong.is_empty() {
        return Ok((email, name));
    }
    let mut failure = Failure::new(FailureKind::Invalid, Text::new(keys::FAILURE_INVALID));
    failure.fields = wrong;
    Err(failure)
}
