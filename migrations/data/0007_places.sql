-- Owner: crates/bots
-- Why: where a bot runs is a choice of its own. Its data stays in this database, which belongs to one region; a runner of any region that
-- reaches it can own the bot, one at a time, in an order that a person sets.

ALTER TABLE bots
    -- Regions in which it runs: its home first, then those that stand by, in their order. Empty: in this database's region only.
    ADD COLUMN regions text[] NOT NULL DEFAULT '{}' CHECK (array_position(regions, NULL) IS NULL),
    -- When it was last said that it should run, or should not. Who stands by waits from then, too.
    ADD COLUMN wanted_at timestamptz NOT NULL DEFAULT now();

ALTER TABLE bot_leases
    -- Where its owner runs. NULL: nobody owns it, or it has not been said.
    ADD COLUMN region text,
    -- A better placed runner is there: the owner finishes what it has and gives the bot back.
    ADD COLUMN recalled boolean NOT NULL DEFAULT false;

-- Processes that can own bots of this database: whoever asks where a bot could run reads it here. A line that is not renewed is old.
CREATE TABLE bot_runners (
    -- As in bot_leases.
    owner   text PRIMARY KEY,
    region  text NOT NULL,
    since   timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    -- What it measured of itself, as in crates/bots/src/presence.rs.
    figures jsonb NOT NULL DEFAULT '{}'
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON bot_runners TO bagua_app;
    END IF;
END $$;

-- The place of a region among those in which a bot runs: 1 is its home. NULL: it does not run there. `own`: whether it is the region
-- of this database.
CREATE FUNCTION bot_place(regions text[], region text, own boolean) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN regions = '{}' THEN CASE WHEN own THEN 1 END ELSE array_position(regions, region) END
$$;
