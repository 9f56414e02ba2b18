-- Owner: crates/alerts. An acknowledgement may run out: then nobody has the alert, and it stands on top again.
-- Why in the row: it must run out also after a restart, and be told of once however many consoles there are.

ALTER TABLE alerts
    ADD COLUMN acknowledged_until timestamptz,
    -- When the last acknowledgement ran out; empty again as soon as somebody has it.
    ADD COLUMN lapsed_at timestamptz,
    ADD CONSTRAINT alerts_until_belongs_to_somebody CHECK (acknowledged_until IS NULL OR acknowledged_at IS NOT NULL),
    ADD CONSTRAINT alerts_lapsed_means_nobody CHECK (lapsed_at IS NULL OR acknowledged_at IS NULL);

-- What runs out next.
CREATE INDEX alerts_lapsing ON alerts (acknowledged_until) WHERE state = 'firing' AND acknowledged_until IS NOT NULL;
