-- Owner: crates/alerts. The alert feed: one row for each firing episode of an alert.
--
-- Why a table, when Alertmanager knows what fires: it forgets what has ended, it forgets everything when its memory
-- goes, and it has no place for who has an alert. The rows follow Alertmanager; they never decide what fires.
--
-- Identity of an episode. Alertmanager's fingerprint names the alert (its label set); an episode is one stretch of
-- firing of it. `startsAt` alone cannot name the episode: it moves while the alert goes on when Prometheus restarts and
-- Alertmanager has lost its memory too. So at most one episode of a fingerprint fires at a time; `started_at` keeps the
-- earliest start that was reported for it and `last_started_at` the latest, which tells a late "resolved" of an
-- earlier stretch from the end of this one.

CREATE TABLE alerts (
    id                 uuid PRIMARY KEY,
    fingerprint        text NOT NULL CHECK (fingerprint <> ''),
    started_at         timestamptz NOT NULL,
    last_started_at    timestamptz NOT NULL,
    name               text NOT NULL,
    severity           text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    environment        text,
    region             text,
    -- <region>/<service>
    component          text,
    summary            text NOT NULL DEFAULT '',
    description        text NOT NULL DEFAULT '',
    labels             jsonb NOT NULL,
    annotations        jsonb NOT NULL,
    state              text NOT NULL CHECK (state IN ('firing', 'resolved')),
    -- When this console was told first.
    received_at        timestamptz NOT NULL,
    ended_at           timestamptz,
    suppressed         boolean NOT NULL DEFAULT false,
    suppressed_by      text[] NOT NULL DEFAULT '{}',
    acknowledged_by    text,
    acknowledged_by_id uuid,
    acknowledged_at    timestamptz,
    note               text NOT NULL DEFAULT '' CHECK (char_length(note) <= 2000),
    -- When Alertmanager was last seen holding it; written at most every half minute.
    last_seen_at       timestamptz NOT NULL,
    CONSTRAINT alerts_episode UNIQUE (fingerprint, started_at),
    CONSTRAINT alerts_end_fits_state CHECK ((state = 'resolved') = (ended_at IS NOT NULL)),
    CONSTRAINT alerts_start_before_end CHECK (started_at <= last_started_at AND started_at <= ended_at),
    CONSTRAINT alerts_acknowledged_whole CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);

CREATE UNIQUE INDEX alerts_one_firing_episode ON alerts (fingerprint) WHERE state = 'firing';
-- The list of what has ended, last ended first.
CREATE INDEX alerts_ended ON alerts (ended_at DESC, id) WHERE state = 'resolved';
-- The history of a component.
CREATE INDEX alerts_component ON alerts (component, started_at DESC) WHERE component IS NOT NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE ON alerts TO bagua_app;
    END IF;
END $$;
