-- Owner: crates/access. What a person likes: the time zone of their screens, and lists that they come back to.
-- Why here and not in a cookie: both belong to the person and not to a browser, and are there after the next sign-in.

ALTER TABLE people
    -- IANA name; NULL: the console's own, Asia/Shanghai.
    ADD COLUMN zone text CONSTRAINT people_zone_form CHECK (zone <> '' AND char_length(zone) <= 64);

-- A page with its filters, under a name.
CREATE TABLE views (
    id       uuid PRIMARY KEY,
    person   uuid NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name     text NOT NULL CONSTRAINT views_name_form CHECK (name <> '' AND char_length(name) <= 60),
    -- Path and query of a page of this console.
    address  text NOT NULL CONSTRAINT views_address_form CHECK (address LIKE '/%' AND char_length(address) <= 2000),
    saved_at timestamptz NOT NULL,
    CONSTRAINT views_name_once UNIQUE (person, name)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bagua_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON views TO bagua_app;
    END IF;
END $$;
