-- Owner: crates/access. API tokens: what a program that acts for a person carries.
--
-- Why a plain SHA-256: the secret is 256 random bits, so there is nothing that a slow hash would protect from guessing,
-- and a slow one would be paid with every request. The id is the beginning of the hash and opens nothing.

CREATE TABLE api_tokens (
    id              text PRIMARY KEY CONSTRAINT api_tokens_id_form CHECK (id ~ '^[0-9a-f]{12}$'),
    secret_hash     bytea NOT NULL CONSTRAINT api_tokens_secret_unique UNIQUE
                    CONSTRAINT api_tokens_secret_form CHECK (octet_length(secret_hash) = 32),
    person          uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name            text NOT NULL CONSTRAINT api_tokens_name_form CHECK (name <> '' AND char_length(name) <= 120),
    -- What it is limited to; it gives nothing that its owner does not have at the moment of the call.
    role            text CONSTRAINT api_tokens_role_known CHECK (role IN
                    ('administrator', 'operator', 'compliance-officer', 'compliance-approver', 'auditor', 'viewer')),
    access          text NOT NULL CONSTRAINT api_tokens_access_known CHECK (access IN ('everything', 'read-only', 'listed')),
    permissions     text[] NOT NULL DEFAULT '{}',
    environment     text CONSTRAINT api_tokens_environment_known CHECK (environment IN ('dev', 'staging', 'prod')),
    region          text CONSTRAINT api_tokens_region_form CHECK (region <> ''),
    created_at      timestamptz NOT NULL,
    -- The token through which it was made: revoking that one revokes this one too.
    created_through text REFERENCES api_tokens (id),
    expires_at      timestamptz NOT NULL,
    -- Written at most once a minute, not with every request.
    last_used_at    timestamptz,
    last_used_from  text CONSTRAINT api_tokens_from_form CHECK (char_length(last_used_from) <= 64),
    revoked_at      timestamptz,
    revoked_by      text,
    CONSTRAINT api_tokens_life CHECK (expires_at > created_at AND expires_at <= created_at + interval '366 days'),
    CONSTRAINT api_tokens_revoked_by_somebody CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

CREATE INDEX api_tokens_of_person ON api_tokens (person, created_at DESC);
CREATE INDEX api_tokens_through ON api_tokens (created_through) WHERE created_through IS NOT NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        -- Never deleted, because the audit log names them; and nothing that widens one can be changed.
        GRANT SELECT, INSERT ON api_tokens TO bagua_app;
        GRANT UPDATE (last_used_at, last_used_from, revoked_at, revoked_by) ON api_tokens TO bagua_app;
    END IF;
END $$;
