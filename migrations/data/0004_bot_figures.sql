-- Owner: crates/bots
-- Why: an operator sees of each bot how long it is until Telegram drops what waits, how late messages are, and how much time was lost
-- to 429, whoever owned the bot meanwhile and whichever console asks.

-- When it was last said that nothing waits: what waits now has come since.
ALTER TABLE bot_observations ADD COLUMN emptied_at timestamptz;

-- When the transaction was that `last_date` is of. `last_at` goes on with what has no date of its own, which says nothing of a lag.
ALTER TABLE ingest_counts ADD COLUMN dated_at timestamptz;

-- How long Telegram told a bot to wait. Several chats may wait at once, so an hour may have more than 3,600 seconds.
CREATE TABLE bot_throttles (
    bot_id  bigint NOT NULL REFERENCES bots,
    hour    timestamptz NOT NULL,
    times   bigint NOT NULL CHECK (times > 0),
    seconds bigint NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (bot_id, hour)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON bot_throttles TO bagua_app;
    END IF;
END $$;
