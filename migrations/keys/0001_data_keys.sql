-- Owner: crates/keys
-- Why: content about a person (raw updates, texts, names) is sealed under a data key of that person, and is gone for good
-- when the key is destroyed. So the keys live in a database of their own, outside the ordinary backups of the data.
--
-- Why `retired_at` and `destroyed_at` are two things: processes remember keys for a while. A retired key seals nothing new
-- once their memory has run out, and what it sealed can still be read; only then may it be destroyed.

CREATE TABLE data_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What the key belongs to: a Telegram person, chat or bot, by Telegram's number.
    subject_kind text NOT NULL CHECK (subject_kind IN ('person', 'chat', 'bot')),
    subject_id   bigint NOT NULL,
    -- Which master key wraps it: the first 8 bytes of the master key's SHA-256, in hexadecimal.
    master       text NOT NULL CHECK (master ~ '^[0-9a-f]{16}$'),
    -- The data key, sealed under the master key. Gone when the key is destroyed.
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    retired_at   timestamptz,
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    -- A key that could still seal new content is never destroyed.
    CHECK (destroyed_at IS NULL OR retired_at IS NOT NULL)
);

-- One key at a time seals what is new about a subject.
CREATE UNIQUE INDEX data_keys_current ON data_keys (subject_kind, subject_id) WHERE retired_at IS NULL;
CREATE INDEX data_keys_by_subject ON data_keys (subject_kind, subject_id);

-- A destroyed key stays destroyed, whoever asks.
CREATE FUNCTION data_keys_stay_destroyed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.destroyed_at IS NOT NULL THEN
        RAISE EXCEPTION 'data key % is destroyed and stays so', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER data_keys_stay_destroyed BEFORE UPDATE ON data_keys
    FOR EACH ROW EXECUTE FUNCTION data_keys_stay_destroyed();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        -- No DELETE: that a key was there, and when it was destroyed, is evidence.
        GRANT SELECT, INSERT, UPDATE ON data_keys TO bagua_app;
    END IF;
END $$;
