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
    -- Where Telegram shall push to, and the secret that it shall bring along: sealed, because it is told to Telegram again, and as
    -- SHA-256, because each push is compared with it, in every region alike.
    webhook_url    text CHECK (webhook_url <> ''),
    webhook_secret bytea,
    webhook_digest bytea CHECK (length(webhook_digest) = 32),
    -- Empty: Telegram's default kinds.
    update_kinds text[] NOT NULL DEFAULT '{}',
    desired      text NOT NULL CHECK (desired IN ('running', 'stopped')),
    -- Grows with every change of this row, so that an owner sees that it works with old settings.
    generation   bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (mode <> 'webhook' OR (webhook_url IS NOT NULL AND webhook_secret IS NOT NULL AND webhook_digest IS NOT NULL))
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

-- Each change of a bot's state: the timeline on its page, beside that of its owners.
CREATE TABLE bot_state_events (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id bigint NOT NULL REFERENCES bots,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    fence  bigint NOT NULL,
    state  text NOT NULL,
    class  text,
    detail text
);
CREATE INDEX bot_state_events_by_bot ON bot_state_events (bot_id, id DESC);

-- What Telegram last said of a bot (getWebhookInfo), as its owner asked.
CREATE TABLE bot_observations (
    bot_id        bigint PRIMARY KEY REFERENCES bots,
    at            timestamptz NOT NULL DEFAULT now(),
    fence         bigint NOT NULL,
    -- Empty: none is set.
    url           text NOT NULL,
    update_kinds  text[] NOT NULL,
    -- How many updates wait at Telegram.
    pending       bigint NOT NULL,
    last_error_at timestamptz,
    last_error    text,
    -- With which settings the webhook was last set; the secret cannot be asked for.
    set_generation bigint,
    set_at        timestamptz
);

-- Sums of what ingest took, moved in the transaction that stores: they are as exact as the rows themselves.
CREATE TABLE ingest_counts (
    bot_id    bigint PRIMARY KEY,
    -- Updates in committed transactions, repeats among them.
    received  bigint NOT NULL DEFAULT 0,
    -- Those of them that were new.
    stored    bigint NOT NULL DEFAULT 0,
    last_at   timestamptz NOT NULL,
    -- When the newest message of the last transaction with one was written, for the lag.
    last_date timestamptz,
    CHECK (stored <= received)
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
-- One index for both: a bot's newest updates, and one update whose time is known from elsewhere.
CREATE INDEX updates_by_time ON updates (bot_id, received_at, update_id);
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

-- What an operator wants to be done with what a bot receives. The first in `position` is asked first.
CREATE TABLE bot_rules (
    rule_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id     bigint NOT NULL REFERENCES bots,
    position   int NOT NULL,
    -- Grows with every change; every effect says which version made it.
    version    int NOT NULL DEFAULT 1,
    title      text NOT NULL CHECK (title <> ''),
    enabled    boolean NOT NULL DEFAULT true,
    -- Whether the rules behind it are left out when it matches.
    stops      boolean NOT NULL DEFAULT false,
    -- As in crates/bots/src/rules: `Matches` and a list of `Action`.
    matches    jsonb NOT NULL,
    actions    jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bot_id, position) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX bot_rules_enabled ON bot_rules (bot_id) WHERE enabled;

-- What a rule said before, so that an old effect can be explained.
CREATE TABLE bot_rule_versions (
    rule_id    bigint NOT NULL,
    version    int NOT NULL,
    bot_id     bigint NOT NULL,
    title      text NOT NULL,
    enabled    boolean NOT NULL,
    stops      boolean NOT NULL,
    matches    jsonb NOT NULL,
    actions    jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rule_id, version)
);

-- Updates whose rules have not run yet, written in the transaction that stores them: a process that dies behind the commit
-- leaves this to its successor. A line goes in the transaction that writes what came of it.
CREATE TABLE update_work (
    bot_id      bigint NOT NULL,
    update_id   bigint NOT NULL,
    received_at timestamptz NOT NULL,
    -- 0: somebody waits at a spinning wheel; 1: everything else.
    lane        smallint NOT NULL,
    PRIMARY KEY (bot_id, update_id)
);
CREATE INDEX update_work_in_turn ON update_work (bot_id, lane, received_at, update_id);

-- What rules did that stays in this database.
CREATE TABLE update_marks (
    bot_id       bigint NOT NULL,
    update_id    bigint NOT NULL,
    rule_id      bigint NOT NULL,
    step         smallint NOT NULL,
    rule_version int NOT NULL,
    -- `unreadable`: the rules could not run, because the key of the content was destroyed. `rule_id` is 0 then.
    mark         text NOT NULL CHECK (mark IN ('drop', 'tag', 'unreadable')),
    tag          text,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bot_id, update_id, rule_id, step),
    CHECK ((mark = 'tag') = (tag IS NOT NULL))
);

-- Calls that Telegram shall see once. `pending` → `sending` (committed before the call) → `sent`. A process that dies between leaves
-- `sending`, and nobody knows whether Telegram saw the call: its successor writes `uncertain`, and a person decides.
CREATE TABLE outbox (
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id       bigint NOT NULL REFERENCES bots,
    -- Names the effect: `<update>/<rule>/<step>` for a rule's, else what the caller chose. The same effect is one row.
    effect       text NOT NULL CHECK (effect <> ''),
    update_id    bigint,
    rule_id      bigint,
    rule_version int,
    step         smallint,
    chat_id      bigint NOT NULL,
    method       text NOT NULL CHECK (method <> ''),
    -- The call's parameters without `chat_id`, as JSON, sealed.
    payload      bytea NOT NULL,
    lane         smallint NOT NULL DEFAULT 1,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'uncertain', 'failed')),
    attempts     int NOT NULL DEFAULT 0,
    -- Of the owner that marked it `sending`.
    fence        bigint,
    not_before   timestamptz NOT NULL DEFAULT now(),
    message_id   bigint,
    class        text,
    -- What was said, for a person to read. Never with a token.
    detail       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bot_id, effect),
    UNIQUE (bot_id, update_id, rule_id, step),
    CHECK (state <> 'sending' OR fence IS NOT NULL)
);
CREATE INDEX outbox_open ON outbox (bot_id, lane, outbox_id) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_uncertain ON outbox (bot_id, outbox_id) WHERE state = 'uncertain';
CREATE INDEX outbox_by_age ON outbox USING brin (created_at) WITH (pages_per_range = 32);

-- Chats in which the bot may not speak (403, or told by my_chat_member). Nothing is sent there until they let it in again.
CREATE TABLE chat_blocks (
    bot_id  bigint NOT NULL,
    chat_id bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    why     text NOT NULL,
    PRIMARY KEY (bot_id, chat_id)
);

-- Groups that go on under another number.
CREATE TABLE chat_aliases (
    bot_id  bigint NOT NULL,
    chat_id bigint NOT NULL,
    now_id  bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bot_id, chat_id),
    CHECK (chat_id <> now_id)
);

-- Makes the partitions from the day of `from_day` on: `days` of updates and the months that they lie in. The application role
-- may not create tables, hence SECURITY DEFINER. Returns how many were made. What already lies in the rest keeps its day or month
-- there: PostgreSQL makes no partition for rows that are elsewhere.
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
        IF to_regclass(name) IS NULL AND NOT EXISTS (
            SELECT FROM updates_rest WHERE received_at >= day::timestamp AT TIME ZONE 'UTC'
                                       AND received_at < (day + 1)::timestamp AT TIME ZONE 'UTC') THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF updates FOR VALUES FROM (%L) TO (%L)',
                name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        name := 'messages_' || to_char(day, 'YYYYMM');
        IF to_regclass(name) IS NULL AND NOT EXISTS (
            SELECT FROM messages_rest WHERE date >= date_trunc('month', day::timestamp) AT TIME ZONE 'UTC'
                AND date < (date_trunc('month', day::timestamp) + interval '1 month') AT TIME ZONE 'UTC') THEN
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
        GRANT SELECT, INSERT, UPDATE, DELETE ON bots, bot_leases, bot_cursors, bot_states, bot_observations, ingest_counts,
            update_ledger, update_quarantine, bot_rules, update_work, outbox, chat_blocks, chat_aliases TO bagua_app;
        GRANT SELECT, INSERT ON bot_lease_events, bot_state_events, bot_rule_versions, update_marks, updates, messages TO bagua_app;
        GRANT EXECUTE ON FUNCTION bots_make_partitions(date, int) TO bagua_app;
    END IF;
END $$;
