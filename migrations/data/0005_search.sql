-- Owner: crates/bots
-- Why: staff finds a chat by its name and a message by its words, and neither may be readable in this database. A word is kept as a number that
-- only the holder of the bot's index key can compute from it (a keyed blind index); names are sealed.
--
-- Why behind the ingest: an index entry for each word costs several times what storing the message costs, and nobody waits for it. Ingest leaves
-- one short line for each update with a chat, in its own transaction; a line goes in the transaction that has indexed its update.

-- No index: lines are taken from the front, many at once, by whichever runner is free.
CREATE TABLE search_work (
    bot_id      bigint NOT NULL,
    update_id   bigint NOT NULL,
    received_at timestamptz NOT NULL
);

-- When the update of a message was stored, so that it is found again in `updates`. NULL: stored before this column was there.
ALTER TABLE messages ADD COLUMN received_at timestamptz;

-- The words of a message (of each version of it), its chat and its sender, as numbers.
CREATE TABLE message_terms (
    bot_id     bigint NOT NULL,
    chat_id    bigint NOT NULL,
    message_id bigint NOT NULL,
    date       timestamptz NOT NULL,
    edit_date  bigint NOT NULL,
    terms      bigint[] NOT NULL
) PARTITION BY RANGE (date);
-- A term is of one bot: the bot's key goes into it, so the bot need not stand in the index.
-- What has just come lies in a list that every search reads whole, so that list is kept short.
CREATE INDEX message_terms_by_term ON message_terms USING gin (terms) WITH (gin_pending_list_limit = 256);
CREATE TABLE message_terms_rest PARTITION OF message_terms DEFAULT;
-- For the question whether a day may still have a partition of its own.
CREATE INDEX message_terms_rest_by_date ON message_terms_rest (date);

-- Chats that a bot has seen something of.
CREATE TABLE chats (
    bot_id   bigint NOT NULL,
    chat_id  bigint NOT NULL,
    -- Messages received there, without edits.
    messages bigint NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (bot_id, chat_id)
);
CREATE INDEX chats_by_last ON chats (bot_id, last_at DESC, chat_id DESC);

-- Who wrote in a chat.
CREATE TABLE chat_members (
    bot_id   bigint NOT NULL,
    chat_id  bigint NOT NULL,
    user_id  bigint NOT NULL,
    messages bigint NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (bot_id, chat_id, user_id)
);
-- Where a person wrote, for requests about their data.
CREATE INDEX chat_members_by_user ON chat_members (user_id);

-- Names of people and chats, which share Telegram's numbers: a private chat has the number of its person. As they were last seen.
CREATE TABLE peers (
    bot_id  bigint NOT NULL,
    peer_id bigint NOT NULL,
    -- private, group, supergroup, channel; whatever Telegram invents is kept.
    kind    text NOT NULL,
    -- Sealed.
    name    bytea NOT NULL,
    -- The name as a number like the terms: whether it has changed is seen without opening it.
    mac     bigint NOT NULL,
    terms   bigint[] NOT NULL,
    PRIMARY KEY (bot_id, peer_id)
);
CREATE INDEX peers_by_term ON peers USING gin (terms);

-- As before, and days of `message_terms` with them.
CREATE OR REPLACE FUNCTION bots_make_partitions(from_day date, days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    made  int := 0;
    day   date;
    name  text;
    begins timestamptz;
    ends   timestamptz;
BEGIN
    IF days NOT BETWEEN 1 AND 62 THEN
        RAISE EXCEPTION 'days must be 1 to 62, not %', days;
    END IF;
    -- Two runners may ask at once.
    PERFORM pg_advisory_xact_lock(7233472);
    FOR day IN SELECT from_day + n FROM generate_series(0, days - 1) AS n LOOP
        begins := day::timestamp AT TIME ZONE 'UTC';
        ends := (day + 1)::timestamp AT TIME ZONE 'UTC';
        name := 'updates_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL
           AND NOT EXISTS (SELECT FROM updates_rest WHERE received_at >= begins AND received_at < ends) THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF updates FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
            made := made + 1;
        END IF;
        name := 'message_terms_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL
           AND NOT EXISTS (SELECT FROM message_terms_rest WHERE date >= begins AND date < ends) THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF message_terms FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
            made := made + 1;
        END IF;
        begins := date_trunc('month', day::timestamp) AT TIME ZONE 'UTC';
        ends := (date_trunc('month', day::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
        name := 'messages_' || to_char(day, 'YYYYMM');
        IF to_regclass(name) IS NULL
           AND NOT EXISTS (SELECT FROM messages_rest WHERE date >= begins AND date < ends) THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF messages FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- What was stored before is indexed, too.
INSERT INTO search_work (bot_id, update_id, received_at)
SELECT bot_id, update_id, received_at FROM updates WHERE chat_id IS NOT NULL ORDER BY received_at;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON search_work, chats, chat_members, peers TO bagua_app;
        GRANT SELECT, INSERT, DELETE ON message_terms TO bagua_app;
    END IF;
END $$;
