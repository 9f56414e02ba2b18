-- Owner: crates/bots
-- Why: rules answer with texts of the catalogues, in the sender's language. Those are written in the control database, which a region must be able
-- to do without; so each region has a copy of what is said there: its own texts, and for every other key those for every region.

CREATE TABLE texts (
    language text NOT NULL,
    key      text NOT NULL,
    text     text NOT NULL,
    PRIMARY KEY (language, key)
);

CREATE TABLE texts_state (
    -- One row at most.
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- SHA-256 of all texts in hexadecimal: whoever has read them sees whether others have come.
    digest     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What a bot wrote in a chat, among what it received there.
CREATE INDEX outbox_said ON outbox (bot_id, chat_id, message_id) WHERE state = 'sent' AND message_id IS NOT NULL;

-- `unsaid`: a rule would have answered with a text that there is not.
ALTER TABLE update_marks DROP CONSTRAINT update_marks_mark_check;
ALTER TABLE update_marks ADD CONSTRAINT update_marks_mark_check CHECK (mark IN ('drop', 'tag', 'unreadable', 'unsaid'));

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON texts, texts_state TO bagua_app;
    END IF;
END $$;
