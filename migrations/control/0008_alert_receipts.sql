-- Owner: crates/alerts
-- Why: "why was nobody told?" is asked after a console was restarted, and of the console that did not receive the
-- notification. So what was received is kept here, and not in the memory of one process.

CREATE TABLE alert_receipts (
    -- SHA-256 of Alertmanager's group key: the key holds labels and may be longer than an index takes.
    group_digest bytea       PRIMARY KEY CHECK (length(group_digest) IN (0, 32)),
    -- The last notification of that group.
    received_at  timestamptz NOT NULL
);
-- What is old is deleted, by this.
CREATE INDEX alert_receipts_by_age ON alert_receipts (received_at);

-- No group's: since when receipts are kept at all.
INSERT INTO alert_receipts (group_digest, received_at) VALUES ('', now());

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON alert_receipts TO bagua_app;
    END IF;
END $$;
