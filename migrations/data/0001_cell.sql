-- Owner: server/src/roles (the runner). Which region a data database belongs to, and which runners serve it.
--
-- Why `cell`: data of one region must never be written into the database of another because an address was mixed up.
-- The first runner writes its region here; every later one compares and refuses to work when it differs.
--
-- Why `runner_heartbeats`: a runner that cannot write is not healthy, however fast it answers. Each runner writes its
-- row every ten seconds, so that the row's age is a measurement of the whole way into the database.

CREATE TABLE cell (
    -- One row at most.
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    region     text NOT NULL CHECK (region <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE runner_heartbeats (
    -- <host>:<port>: one row for each place, however often the process there restarts.
    runner     text PRIMARY KEY CHECK (runner <> ''),
    -- Of the process that beats now.
    started_at timestamptz NOT NULL,
    at         timestamptz NOT NULL DEFAULT now()
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        -- No UPDATE on `cell`: a database does not change its region.
        GRANT SELECT, INSERT ON cell TO bagua_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON runner_heartbeats TO bagua_app;
    END IF;
END $$;
