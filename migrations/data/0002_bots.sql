-- Owner: crates/bots
-- Why: what a bot receives is stored here before Telegram is told that it was received, together with the cursor and the
-- fence, in one transaction: only so can an update neither be lost nor stored twice, whoever is killed when.
--
-- Why a ledger beside the updates: updates are partitioned by day, and a unique index cannot span partitions. The ledger is
-- one unpartitioned table of two numbers, trimmed by a job. Telegram may use an update's number again after a week without
-- updates, so a line is kept for six days and not for ever.
--
-- Why content is `bytea`: it is sealed (crates/keys) under the data key of the person or chat that it is about.

CREATE TABLE bots (
    -- Telegram's number, the part of the token before the colon; it stays when the token is replaced.
    bot_id       bigint PRIMARY KEY CHECK (bot_id > 0),
    username     text NOT NULL CHECK (username <> ''),
    -- Sealed under the bot's own key.
    token        bytea NOT NULL,
    -- Where the Bot API is: the cloud's, or a local server. Moving between servers is a migration, so it is no run-time choice.
    base_url     text NOT NULL CHECK (base_url <> ''),
    mode         text NOT NULL CHECK (mode IN ('polling', 'webhook')),
    -- Empty: Telegram's default kinds.
    update_kinds text[] NOT NULL DEFAULT '{}',
    desired      text NOT NULL CHECK (desired IN ('running', 'stopped')),
    -- Grows with every change of this row, so that an owner sees that it works with old settings.
    generation   bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE bot_leases (
    bot_id     bigint PRIMARY KEY REFERENCES bots,
    -- Which process owns the bot. NULL: nobody.
    owner      text,
    -- Grows with every acquisition. Every write of an owner carries the number with which it acquired.
    fence      bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE bot_cursors (
    bot_id      bigint PRIMARY KEY REFERENCES bots,
    -- What may be sent as `offset`: everything below it is committed here. 0: nothing was received yet.
    next_offset bigint NOT NULL DEFAULT 0,
    -- The fence of the lease under which it may move.
    fence       bigint NOT NULL DEFAULT 0
);

-- What an owner last saw of its bot. An owner that lost its lease changes nothing here either.
CREATE TABLE bot_states (
    bot_id     bigint PRIMARY KEY REFERENCES bots,
    state      text NOT NULL CHECK (state IN ('running', 'retrying', 'conflict', 'invalid', 'failed', 'stopped')),
    -- The class of the last error, or nothing.
    class      text,
    -- What was said, for a person to read. Never with a token.
    detail     text,
    since      timestamptz NOT NULL DEFAULT now(),
    fence      bigint NOT NULL,
    -- With which settings it came so far: an invalid bot is tried again when these have changed, and not before.
    generation bigint NOT NULL
);

-- What cannot be stored as an update, because it has no number: kept as it came, for replay after an upgrade.
CREATE TABLE update_quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id      bigint NOT NULL,
    received_at timestamptz NOT NULL,
    reason      text NOT NULL,
    -- SHA-256 of the raw bytes: the same oddity that comes again is one row.
    digest      bytea NOT NULL,
    raw         bytea NOT NULL,
    UNIQUE (bot_id, digest)
);

-- Who owned a bot when, and how that ended: the timeline on its page.
CREATE TABLE bot_lease_events (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id bigint NOT NULL REFERENCES bots,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    fence  bigint NOT NULL,
    owner  text NOT NULL,
    what   text NOT NULL CHECK (what IN ('acquired', 'taken_over', 'released'))
);
CREATE INDEX bot_lease_events_by_bot ON bot_lease_events (bot_id, id DESC);

CREATE TABLE update_ledger (
    bot_id    bigint NOT NULL,
    update_id bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bot_id, update_id)
);
-- Rows come in the order of time, so a few pages of BRIN find the old ones.
CREATE INDEX update_ledger_by_age ON update_ledger USING brin (stored_at) WITH (pages_per_range = 32);

CREATE TABLE updates (
    bot_id      bigint NOT NULL,
    update_id   bigint NOT NULL,
    received_at timestamptz NOT NULL,
    -- The name of the field that the update carries; whatever Telegram invents is kept.
    kind        text NOT NULL,
    chat_id     bigint,
    sender_id   bigint,
    -- The raw JSON, byte for byte, sealed.
    raw         bytea NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX updates_by_number ON updates (bot_id, update_id);
-- What comes on a day for which no partition was made in time is kept all the same.
CREATE TABLE updates_rest PARTITION OF updates DEFAULT;

CREATE TABLE messages (
    bot_id     bigint NOT NULL,
    chat_id    bigint NOT NULL,
    message_id bigint NOT NULL,
    -- When it was written; the same for all versions of a message.
    date       timestamptz NOT NULL,
    -- Seconds of the epoch of this version's edit; 0 for the message as it was first sent.
    edit_date  bigint NOT NULL DEFAULT 0,
    update_id  bigint NOT NULL,
    kind       text NOT NULL,
    sender_id  bigint,
    media      text,
    -- Text or caption, sealed. NULL: it has none.
    text       bytea,
    PRIMARY KEY (bot_id, chat_id, message_id, date, edit_date)
) PARTITION BY RANGE (date);
CREATE TABLE messages_rest PARTITION OF messages DEFAULT;

-- Makes the partitions from the day of `from_day` on: `days` of updates and the months that they lie in. The application role
-- may not create tables, hence SECURITY DEFINER. Returns how many were made.
CREATE FUNCTION bots_make_partitions(from_day date, days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    made int := 0;
    day  date;
    name text;
BEGIN
    IF days NOT BETWEEN 1 AND 62 THEN
        RAISE EXCEPTION 'days must be 1 to 62, not %', days;
    END IF;
    -- Two runners may ask at once.
    PERFORM pg_advisory_xact_lock(7233472);
    FOR day IN SELECT from_day + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'updates_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF updates FOR VALUES FROM (%L) TO (%L)',
                name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        name := 'messages_' || to_char(day, 'YYYYMM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF messages FOR VALUES FROM (%L) TO (%L)', name,
                date_trunc('month', day::timestamp) AT TIME ZONE 'UTC',
                (date_trunc('month', day::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION bots_make_partitions(date, int) FROM PUBLIC;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON bots, bot_leases, bot_cursors, bot_states, update_ledger, update_quarantine TO bagua_app;
        GRANT SELECT, INSERT ON bot_lease_events, updates, messages TO bagua_app;
        GRANT EXECUTE ON FUNCTION bots_make_partitions(date, int) TO bagua_app;
    END IF;
END $$;
