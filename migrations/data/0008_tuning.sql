-- Owner: crates/bots
-- Why: how the processes that own bots of this database work (connections, group commit, caches) is set by a person while they run, and is
-- the same for all of them. Without a line they work as usual.

CREATE TABLE bot_tuning (
    -- One row at most.
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- As in crates/model/src/bots/tuning.rs; what is not named is as usual.
    settings   jsonb NOT NULL,
    -- Grows with every change: a process says with which one it works.
    version    bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now()
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE ON bot_tuning TO bagua_app;
    END IF;
END $$;
