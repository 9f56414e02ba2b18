//! Signing in and out.

use crate::password::{HashFault, MAXIMUM, Verdict};
use crate::record::{self, Visitor, anonymous, clock_words};
use crate::sessions::ABSOLUTE;
use crate::store::counters::{self, Counted, Limit};
use crate::store::{Person, people, sessions};
use crate::{Access, email, token};
use bagua_core::audit::AuditRecord;
use bagua_core::{Actor, db};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tower_sessions::session::Id;
use uuid::Uuid;

/// Failures with one e-mail address within 15 minutes lock it for 15 minutes, whether or not there is such a person.
pub const PER_EMAIL: Limit = Limit {
    failures: 5,
    window: Duration::minutes(15),
    lock: Duration::minutes(15),
};
/// The same for a network address; wider, because an office shares one.
pub const PER_ADDRESS: Limit = Limit {
    failures: 40,
    window: Duration::minutes(15),
    lock: Duration::minutes(15),
};

/// A session that has just begun.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The cookie's value. A secret: it goes into the cookie and nowhere else.
    pub cookie_token: String,
    /// How long the cookie may live.
    pub max_age: Duration,
    /// The person.
    pub person: Uuid,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

fn refused() -> Failure {
    Failure::new(FailureKind::Unauthenticated, Text::new(keys::FAILURE_SIGN_IN))
}

fn locked(key: &str, until: OffsetDateTime) -> Failure {
    Failure::new(
        FailureKind::RateLimited,
        Text::new(key).with("until", clock_words(until)),
    )
}

/// What a check of e-mail and password came to.
enum Checked {
    Right {
        person: Person,
        hash: String,
        new: Option<String>,
    },
    Wrong {
        person: Option<Person>,
    },
}

impl Access {
    /// Checks e-mail address and password and begins a session with a new id. `previous` is the cookie that the browser
    /// still has; that session ends.
    ///
    /// # Errors
    /// `Unauthenticated` when e-mail or password is wrong, `RateLimited` when there were too many attempts; the answers
    /// do not tell whether there is such a person. `Unavailable` when PostgreSQL is away.
    pub async fn sign_in(
        &self,
        typed_email: &str,
        password: &str,
        visitor: &Visitor,
        previous: Option<&str>,
    ) -> Result<SignedIn, Failure> {
        let visitor = &visitor.tidy();
        let now = self.clock.now();
        let by_address = format!("address:{}", visitor.address);
        if let Some(until) = counters::locked_until(&self.db, &by_address, now)
            .await
            .map_err(db::failure)?
        {
            return Err(locked(keys::FAILURE_SIGN_IN_LOCKED_ADDRESS, until));
        }
        let email = email::normalise(typed_email);
        let by_email = email_subject(email.as_deref().unwrap_or(typed_email));
        // Counted as a failure before the check, so that many attempts at the same time are not all let through.
        let counted = counters::fail(&self.db, &by_email, PER_EMAIL, now)
            .await
            .map_err(db::failure)?;
        if counted == Counted::LockedAlready {
            return Err(self
                .knocked_on_lock(&by_email, &by_address, email, visitor, now)
                .await);
        }
        let mut checked = self.check(email.as_deref(), password).await;
        for _ in 0..2 {
            match checked {
                Err(failure) => {
                    // Nothing was checked, so nothing counts.
                    counters::forgive(&self.db, &by_email, PER_EMAIL, now)
                        .await
                        .map_err(db::failure)?;
                    return Err(failure);
                }
                Ok(Checked::Wrong { person }) => {
                    return Err(self
                        .failed(&by_address, counted, email, person, visitor, now)
                        .await);
                }
                Ok(Checked::Right { person, hash, new }) => {
                    let done = self
                        .begin(&person, &hash, new.as_deref(), &by_email, visitor, previous)
                        .await;
                    if let Some(signed_in) = done.map_err(db::failure)? {
                        self.end_previous(previous).await;
                        return Ok(signed_in);
                    }
                }
            }
            // The password or the person changed while it was checked: once more, with what is there now.
            checked = self.check(email.as_deref(), password).await;
        }
        Err(self.failed(&by_address, counted, email, None, visitor, now).await)
    }

    async fn check(&self, email: Option<&str>, password: &str) -> Result<Checked, Failure> {
        let person = match email {
            Some(email) => people::by_email(&self.db, email).await.map_err(db::failure)?,
            None => None,
        };
        let stored = person
            .as_ref()
            .filter(|p| !p.disabled)
            .and_then(|p| p.password_hash.clone());
        // No password is that long; hashing it would only take time.
        let password = if password.len() > MAXIMUM {
            String::new()
        } else {
            password.to_owned()
        };
        let verdict = self
            .passwords
            .verify(password, stored.clone())
            .await
            .map_err(hash_failure)?;
        Ok(match (verdict, person, stored) {
            (Verdict::Right, Some(person), Some(hash)) => Checked::Right {
                person,
                hash,
                new: None,
            },
            (Verdict::RightWithOldCost(new), Some(person), Some(hash)) => Checked::Right {
                person,
                hash,
                new: Some(new),
            },
            (_, person, _) => Checked::Wrong { person },
        })
    }

    /// `None` when password or person changed while the password was checked.
    async fn begin(
        &self,
        person: &Person,
        hash: &str,
        new: Option<&str>,
        by_email: &str,
        visitor: &Visitor,
        previous: Option<&str>,
    ) -> sqlx::Result<Option<SignedIn>> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        if !people::signed_in(&mut *tx, person.id, now, hash, new).await? {
            return Ok(None);
        }
        counters::clear(&mut *tx, by_email).await?;
        if let Some(previous) = previous {
            sessions::revoke_token(&mut *tx, &token::hash(previous), now).await?;
        }
        let signed_in = self.open_session(&mut tx, person, visitor, now).await?;
        tx.commit().await?;
        Ok(Some(signed_in))
    }

    /// The row of a new session, with its audit record.
    pub(crate) async fn open_session(
        &self,
        tx: &mut PgConnection,
        person: &Person,
        visitor: &Visitor,
        now: OffsetDateTime,
    ) -> sqlx::Result<SignedIn> {
        let id = Id::default();
        let session = Uuid::now_v7();
        sessions::insert(
            &mut *tx,
            sessions::New {
                hash: &token::hash(&id.to_string()),
                session,
                person: person.id,
                now,
                expires_at: now + ABSOLUTE,
                user_agent: &visitor.user_agent,
                address: &visitor.address,
            },
        )
        .await?;
        let mut audit = self.own_record(person, "sign-in", "succeeded", now);
        audit.detail =
            json!({ "session": session, "address": visitor.address, "user_agent": visitor.user_agent });
        record::write(tx, &audit).await?;
        let text = Text::new(keys::EVENT_SIGN_IN).with("person", &person.name);
        record::event(
            tx,
            self.environment,
            "access.sign_in",
            person.id,
            text,
            now,
            false,
        )
        .await?;
        Ok(SignedIn {
            cookie_token: id.to_string(),
            max_age: ABSOLUTE,
            person: person.id,
        })
    }

    async fn end_previous(&self, previous: Option<&str>) {
        if let Some(previous) = previous {
            self.sessions.ended(previous).await;
        }
    }

    /// Notes a failed attempt; the failure that the person is told.
    async fn failed(
        &self,
        by_address: &str,
        counted: Counted,
        email: Option<String>,
        person: Option<Person>,
        visitor: &Visitor,
        now: OffsetDateTime,
    ) -> Failure {
        let noted = self
            .note_failure(by_address, counted, email, person, visitor, now)
            .await;
        match (noted, counted) {
            (Err(error), _) => db::failure(error),
            (Ok(()), Counted::LocksUntil(until)) => locked(keys::FAILURE_SIGN_IN_LOCKED, until),
            (Ok(()), _) => refused(),
        }
    }

    async fn note_failure(
        &self,
        by_address: &str,
        counted: Counted,
        email: Option<String>,
        person: Option<Person>,
        visitor: &Visitor,
        now: OffsetDateTime,
    ) -> sqlx::Result<()> {
        let mut tx = self.db.begin().await?;
        let address_count = counters::fail(&mut *tx, by_address, PER_ADDRESS, now).await?;
        let about = |mut record: AuditRecord| {
            record.environment = Some(self.environment);
            record.target = person.as_ref().map(|p| format!("person:{}", p.id));
            record
        };
        // What is no e-mail address may be a password in the wrong field: it is not written down.
        let detail = json!({ "email": email });
        let failed = about(anonymous(
            "sign-in-failed",
            "failed",
            now,
            visitor,
            detail.clone(),
        ));
        record::write(&mut tx, &failed).await?;
        if let Counted::LocksUntil(until) = counted {
            let mut locked = about(anonymous("lock-out", "denied", now, visitor, detail));
            locked.detail["until"] = json!(clock_words(until));
            record::write(&mut tx, &locked).await?;
            if let Some(person) = &person {
                let text = Text::new(keys::EVENT_LOCK_OUT)
                    .with("subject", &person.name)
                    .with("until", clock_words(until));
                record::event(
                    &mut tx,
                    self.environment,
                    "access.lock_out",
                    person.id,
                    text,
                    now,
                    true,
                )
                .await?;
            }
            metrics::counter!("bagua_sign_in_lock_outs_total", "by" => "email").increment(1);
        }
        if let Counted::LocksUntil(until) = address_count {
            let detail = json!({ "until": clock_words(until), "locked": "address" });
            let mut locked = anonymous("lock-out", "denied", now, visitor, detail);
            locked.environment = Some(self.environment);
            record::write(&mut tx, &locked).await?;
            metrics::counter!("bagua_sign_in_lock_outs_total", "by" => "address").increment(1);
        }
        metrics::counter!("bagua_sign_in_failures_total").increment(1);
        tx.commit().await
    }

    /// An attempt on a locked e-mail address counts against the network address.
    async fn knocked_on_lock(
        &self,
        by_email: &str,
        by_address: &str,
        email: Option<String>,
        visitor: &Visitor,
        now: OffsetDateTime,
    ) -> Failure {
        if let Err(error) = self
            .note_failure(by_address, Counted::LockedAlready, email, None, visitor, now)
            .await
        {
            return db::failure(error);
        }
        match counters::locked_until(&self.db, by_email, now).await {
            Ok(Some(until)) => locked(keys::FAILURE_SIGN_IN_LOCKED, until),
            // The lock was lifted in this moment.
            Ok(None) => refused(),
            Err(error) => db::failure(error),
        }
    }

    /// Ends the session behind a cookie. Does nothing when it has ended already.
    ///
    /// # Errors
    /// When PostgreSQL is away: the session would live on, and the person has to know.
    pub async fn sign_out(&self, cookie_token: &str) -> Result<(), Failure> {
        self.end_session(cookie_token).await.map_err(db::failure)?;
        self.sessions.ended(cookie_token).await;
        Ok(())
    }

    async fn end_session(&self, cookie_token: &str) -> sqlx::Result<()> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let person = sessions::revoke_token(&mut *tx, &token::hash(cookie_token), now).await?;
        if let Some(person) = person
            && let Some(person) = people::by_id(&mut *tx, person).await?
        {
            record::write(&mut tx, &self.own_record(&person, "sign-out", "succeeded", now)).await?;
            let text = Text::new(keys::EVENT_SIGN_OUT).with("person", &person.name);
            record::event(
                &mut tx,
                self.environment,
                "access.sign_out",
                person.id,
                text,
                now,
                false,
            )
            .await?;
        }
        tx.commit().await
    }

    /// An audit record of what a person has done to their own account.
    pub(crate) fn own_record(
        &self,
        person: &Person,
        action: &str,
        result: &str,
        now: OffsetDateTime,
    ) -> AuditRecord {
        let actor = Actor::Person {
            id: person.id,
            name: person.name.clone(),
            email: person.email.clone(),
            grants: Vec::new(),
            through: None,
        };
        let mut record = AuditRecord::new(&actor, action, result, now);
        record.environment = Some(self.environment);
        record.target = Some(format!("person:{}", person.id));
        record
    }
}

/// The counter of an e-mail address, hashed: whoever types a password into the wrong field does not leave it in a table.
pub(crate) fn email_subject(email: &str) -> String {
    format!("email:{}", token::hex(&token::hash(email)))
}

pub(crate) fn hash_failure(fault: HashFault) -> Failure {
    match fault {
        HashFault::Busy => Failure::new(FailureKind::RateLimited, Text::new(keys::FAILURE_SIGN_IN_BUSY)),
        HashFault::Broken(cause) => {
            tracing::error!(cause, "a password could not be hashed");
            Failure::internal()
        }
    }
}
