-- Owner: crates/access. People, what they are trusted with, how they prove who they are.
--
-- Why here and not in Redis: a session that cannot be revoked, or a lock-out that a restart forgets, is worse than a
-- slow one. Redis and the processes only hold copies with an age (crates/access/README.md).
--
-- No secret that opens anything stands in these tables: passwords are argon2id hashes, session and invitation tokens
-- are SHA-256 of 128 and 256 random bits.

CREATE TABLE people (
    id              uuid PRIMARY KEY,
    -- The sign-in name; the code lowers it, ASCII only, so that both sides agree on what is the same address.
    email           text NOT NULL CONSTRAINT people_email_unique UNIQUE
                    CONSTRAINT people_email_form
                    CHECK (email = lower(email) AND email LIKE '_%@_%' AND char_length(email) <= 254),
    name            text NOT NULL CONSTRAINT people_name_form CHECK (name <> '' AND char_length(name) <= 120),
    -- PHC string; NULL until the person has taken up the invitation.
    password_hash   text,
    created_at      timestamptz NOT NULL,
    last_sign_in_at timestamptz,
    disabled_at     timestamptz
);

CREATE TABLE grants (
    id          uuid PRIMARY KEY,
    person      uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role        text NOT NULL CONSTRAINT grants_role_known CHECK (role IN
                ('administrator', 'operator', 'compliance-officer', 'compliance-approver', 'auditor', 'viewer')),
    -- NULL: any.
    environment text CONSTRAINT grants_environment_known CHECK (environment IN ('dev', 'staging', 'prod')),
    region      text CONSTRAINT grants_region_form CHECK (region <> ''),
    granted_at  timestamptz NOT NULL,
    granted_by  text NOT NULL,
    CONSTRAINT grants_once UNIQUE NULLS NOT DISTINCT (person, role, environment, region)
);

CREATE TABLE sessions (
    -- SHA-256 of the cookie's value.
    id_hash      bytea PRIMARY KEY CONSTRAINT sessions_hash_form CHECK (octet_length(id_hash) = 32),
    -- The name of the session in lists and operations; opens nothing.
    session      uuid NOT NULL CONSTRAINT sessions_name_unique UNIQUE,
    person       uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    -- What tower-sessions keeps: small, per session, such as the typed text of a form that was refused.
    data         jsonb NOT NULL DEFAULT '{}' CONSTRAINT sessions_data_form CHECK (jsonb_typeof(data) = 'object'),
    created_at   timestamptz NOT NULL,
    -- Written every few minutes, not with every request.
    last_seen_at timestamptz NOT NULL,
    -- The absolute end; the idle end is reckoned from last_seen_at.
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    user_agent   text NOT NULL DEFAULT '' CHECK (char_length(user_agent) <= 400),
    address      text NOT NULL DEFAULT '' CHECK (char_length(address) <= 64),
    CONSTRAINT sessions_end_after_start CHECK (expires_at > created_at)
);

CREATE INDEX sessions_of_person ON sessions (person, last_seen_at DESC) WHERE revoked_at IS NULL;
CREATE INDEX sessions_end ON sessions (expires_at);

-- Failed sign-ins per e-mail address and per network address, shared by all consoles.
CREATE TABLE sign_in_counters (
    -- `email:<SHA-256>` or `address:<network address>`. Hashed, because people type passwords into the wrong field.
    subject      text PRIMARY KEY,
    -- Failures that still count; never more than the limit.
    failed_at    timestamptz[] NOT NULL DEFAULT '{}',
    locked_until timestamptz,
    changed_at   timestamptz NOT NULL
);

CREATE INDEX sign_in_counters_age ON sign_in_counters (changed_at);

-- One-time links.
CREATE TABLE invitations (
    id         uuid PRIMARY KEY,
    token_hash bytea NOT NULL CONSTRAINT invitations_token_unique UNIQUE
               CONSTRAINT invitations_hash_form CHECK (octet_length(token_hash) = 32),
    purpose    text NOT NULL CONSTRAINT invitations_purpose_known CHECK (purpose IN ('first-admin', 'welcome', 'reset')),
    person     uuid REFERENCES people (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    -- A newer link took its place.
    voided_at  timestamptz,
    CONSTRAINT invitations_person_fits_purpose CHECK ((purpose = 'first-admin') = (person IS NULL)),
    CONSTRAINT invitations_one_end CHECK (used_at IS NULL OR voided_at IS NULL)
);

-- At most one open link for a person, and one for the first administrator.
CREATE UNIQUE INDEX invitations_one_open ON invitations (person) NULLS NOT DISTINCT
    WHERE used_at IS NULL AND voided_at IS NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        -- People are disabled, never deleted: the audit log points at them.
        GRANT SELECT, INSERT, UPDATE ON people TO bagua_app;
        GRANT SELECT, INSERT, DELETE ON grants TO bagua_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, sign_in_counters, invitations TO bagua_app;
    END IF;
END $$;
