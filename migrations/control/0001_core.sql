-- Owner: crates/core. The spine: operations with their steps and logs, schedules, the event log, the audit log.
-- Why here and not in code: what must hold even against a faulty or stale console is a constraint, an index or a
-- trigger of this file (second person, one at a time per target, audit append-only, fencing by `attempt`).

CREATE TABLE operations (
    id                    uuid PRIMARY KEY,
    kind                  text NOT NULL,
    input                 jsonb NOT NULL,
    risk                  text NOT NULL CHECK (risk IN ('trivial', 'moderate', 'high', 'critical')),
    -- The plan that was confirmed. An approval is for this hash and no other.
    plan                  jsonb NOT NULL,
    plan_hash             text NOT NULL,
    -- The plan as it was at the start, when it differed: a person confirms it or gives up.
    new_plan              jsonb,
    new_plan_hash         text,
    target_noun           text NOT NULL,
    target_id             text NOT NULL,
    environment           text NOT NULL,
    region                text,
    concurrency_key       text,
    -- The same form posted twice, the same firing of a schedule, is the same submission.
    token                 uuid CONSTRAINT operations_token_key UNIQUE,
    state                 text NOT NULL CHECK (state IN ('awaiting_approval', 'queued', 'running', 'unwinding',
                                                         'needs_operator', 'succeeded', 'failed', 'cancelled')),
    -- Why a person is needed: `drift` before the start, `run` in a step, `undo` in an undo.
    needs                 text CHECK (needs IN ('drift', 'run', 'undo')),
    -- How it ends when everything has been undone.
    unwind_to             text CHECK (unwind_to IN ('failed', 'cancelled')),
    -- Why it is being undone; `failure` may say meanwhile why an undo waits for a person.
    unwind_why            jsonb,
    submitted_by          text NOT NULL,
    submitted_by_person   uuid,
    -- Who else wrote the wish: a schedule's creator, whoever confirmed a new plan.
    prepared_by           uuid[] NOT NULL DEFAULT '{}',
    -- The whole actor, so that the plan is made again at the start as the same actor.
    submitter             jsonb NOT NULL,
    reason                text,
    break_glass           boolean NOT NULL DEFAULT false,
    submitted_at          timestamptz NOT NULL,
    -- Cooling-off: not before this time, even when approved.
    not_before            timestamptz,
    approval_required     boolean NOT NULL,
    approval_expires_at   timestamptz,
    decision              text CHECK (decision IN ('approved', 'rejected')),
    decided_by            text,
    decided_at            timestamptz,
    approved_by           uuid,
    approved_hash         text,
    -- The lease. Every write of a worker carries `attempt`; a claim raises it, so a stale worker changes nothing.
    attempt               integer NOT NULL DEFAULT 0,
    -- The attempt after which a person last sent it on: attempts are counted from there.
    resumed_after         integer NOT NULL DEFAULT 0,
    lease_owner           text,
    lease_expires_at      timestamptz,
    started_at            timestamptz,
    finished_at           timestamptz,
    cancel_requested_at   timestamptz,
    current_step          text,
    steps_total           integer NOT NULL DEFAULT 0,
    progress              real,
    event_seq             bigint NOT NULL DEFAULT 0,
    outcome               jsonb,
    failure               jsonb,

    CONSTRAINT operations_second_person CHECK (
        approved_by IS NULL
        OR (approved_by IS DISTINCT FROM submitted_by_person AND NOT approved_by = ANY (prepared_by))),
    CONSTRAINT operations_approval_binds_to_hash CHECK (approved_by IS NULL OR approved_hash = plan_hash),
    CONSTRAINT operations_approved_before_start CHECK (
        NOT approval_required OR break_glass OR approved_by IS NOT NULL OR state IN ('awaiting_approval', 'cancelled')
        OR (state = 'needs_operator' AND needs = 'drift')),
    CONSTRAINT operations_break_glass_has_reason CHECK (NOT break_glass OR coalesce(btrim(reason), '') <> ''),
    CONSTRAINT operations_needs CHECK ((state = 'needs_operator') = (needs IS NOT NULL)),
    CONSTRAINT operations_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);

-- One at a time per target. What still waits for a second person holds nothing: it asks again when approved.
CREATE UNIQUE INDEX operations_one_per_target ON operations (concurrency_key)
    WHERE concurrency_key IS NOT NULL AND state IN ('queued', 'running', 'unwinding', 'needs_operator');
CREATE INDEX operations_active ON operations (state, id)
    WHERE state IN ('awaiting_approval', 'queued', 'running', 'unwinding', 'needs_operator');
CREATE INDEX operations_by_target ON operations (target_noun, target_id, id);
CREATE INDEX operations_by_kind ON operations (kind, id);
CREATE INDEX operations_by_region ON operations (region, id);

CREATE TABLE operation_steps (
    operation    uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    name         text NOT NULL,
    -- Order of first start; undo goes the other way.
    seq          integer NOT NULL,
    -- `transaction`: rows of the control database that commit together with the memo. `effect`: something outside.
    -- `undo`: done while unwinding, never undone itself.
    kind         text NOT NULL CHECK (kind IN ('transaction', 'effect', 'undo')),
    state        text NOT NULL CHECK (state IN ('started', 'done', 'failed', 'undone', 'undo_failed')),
    attempt      integer NOT NULL,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    memo         jsonb,
    failure      jsonb,
    PRIMARY KEY (operation, name)
);

CREATE TABLE operation_events (
    operation  uuid NOT NULL REFERENCES operations (id),
    seq        bigint NOT NULL,
    at         timestamptz NOT NULL,
    name       text NOT NULL,
    text       jsonb NOT NULL,
    progress   real,
    PRIMARY KEY (operation, seq)
);

CREATE TABLE schedules (
    id                 uuid PRIMARY KEY,
    name               text NOT NULL CONSTRAINT schedules_name_key UNIQUE,
    cron               text NOT NULL,
    kind               text NOT NULL,
    input              jsonb NOT NULL,
    environment        text NOT NULL,
    region             text,
    created_by         text NOT NULL,
    created_by_person  uuid,
    created_at         timestamptz NOT NULL,
    paused             boolean NOT NULL DEFAULT false,
    next_at            timestamptz,
    last_operation     uuid REFERENCES operations (id),
    last_failure       jsonb
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE NOT paused;

-- One row per time that came round; whoever holds its lease submits, so several consoles fire once.
CREATE TABLE schedule_firings (
    schedule          uuid NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    due_at            timestamptz NOT NULL,
    claimed_by        text NOT NULL,
    lease_expires_at  timestamptz NOT NULL,
    finished_at       timestamptz,
    operation         uuid REFERENCES operations (id),
    failure           jsonb,
    PRIMARY KEY (schedule, due_at)
);

-- The event log. `xid` is the transaction that wrote the row: readers follow (xid, id) and know from the snapshot
-- below which everything has settled, so that a transaction that commits late is never skipped.
CREATE TABLE events (
    id           bigserial PRIMARY KEY,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at           timestamptz NOT NULL,
    kind         text NOT NULL,
    topic        text NOT NULL,
    environment  text,
    region       text,
    subject      text NOT NULL,
    text         jsonb NOT NULL,
    operation    uuid,
    -- Only wakes screens (a step's progress); not part of the story and pruned early.
    quiet        boolean NOT NULL DEFAULT false
);
CREATE INDEX events_settled ON events (xid, id);
CREATE INDEX events_told ON events (id) WHERE NOT quiet;
CREATE INDEX events_told_region ON events (region, id) WHERE NOT quiet;
CREATE INDEX events_told_subject ON events (subject, id) WHERE NOT quiet;
CREATE INDEX events_quiet ON events (at) WHERE quiet;

CREATE TABLE audit (
    id           bigserial PRIMARY KEY,
    at           timestamptz NOT NULL,
    actor        text NOT NULL,
    person       uuid,
    action       text NOT NULL,
    kind         text,
    environment  text,
    region       text,
    target       text,
    operation    uuid,
    result       text NOT NULL,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_operation ON audit (operation) WHERE operation IS NOT NULL;
CREATE INDEX audit_person ON audit (person, id) WHERE person IS NOT NULL;
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_at ON audit (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- Per statement, so that even a change that matches no row is refused, for the owner and superusers too.
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operation_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operation_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE ON operations, operation_steps TO bagua_app;
        GRANT SELECT, INSERT ON operation_events, audit TO bagua_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON schedules, schedule_firings TO bagua_app;
        GRANT SELECT, INSERT, DELETE ON events TO bagua_app;
        GRANT USAGE ON SEQUENCE events_id_seq, audit_id_seq TO bagua_app;
    END IF;
END $$;
