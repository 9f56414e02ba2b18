-- Owner: crates/regions. Since when each component is in its state.
-- Why a table, when the state itself comes from the engines every second: a console that restarts, or a second one
-- beside it, must say the same "since", and a change must enter the event log once however many consoles saw it.

CREATE TABLE component_states (
    environment  text NOT NULL,
    -- `<region>/<service>`
    component    text NOT NULL,
    region       text NOT NULL,
    health       text NOT NULL CHECK (health IN ('healthy', 'stopped', 'unknown', 'warning', 'critical')),
    -- The state before this one.
    previous     text,
    -- When it entered this state, by the clock of the console that saw it first.
    since        timestamptz NOT NULL,
    -- Why, as a message for readers; null when healthy.
    why          jsonb,
    PRIMARY KEY (environment, component)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE ON component_states TO bagua_app;
    END IF;
END $$;
