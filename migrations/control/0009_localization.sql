-- Owner: crates/localization
-- Why: bots and letters are written from texts that people edit while the platform runs, in every language and, where a
-- region wants it, with a text of its own. Every writing is kept: what a bot said last month can be shown.

CREATE TABLE catalogue_messages (
    language   text        NOT NULL CHECK (language <> ''),
    -- Empty: every region that has no text of its own.
    region     text        NOT NULL DEFAULT '',
    key        text        NOT NULL CHECK (key <> ''),
    text       text        NOT NULL CHECK (length(text) <= 4096),
    -- Counts the writings; it goes on counting after a removal.
    version    bigint      NOT NULL CHECK (version > 0),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (language, region, key)
);

CREATE TABLE catalogue_versions (
    language   text        NOT NULL,
    region     text        NOT NULL,
    key        text        NOT NULL,
    version    bigint      NOT NULL,
    -- NULL: it was removed.
    text       text,
    changed_at timestamptz NOT NULL,
    changed_by text        NOT NULL,
    PRIMARY KEY (language, region, key, version)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON catalogue_messages TO bagua_app;
        GRANT SELECT, INSERT ON catalogue_versions TO bagua_app;
    END IF;
END $$;
