-- Owner: crates/keys
-- Why: the words of a search index are kept as numbers under a key of their own for each bot. Destroying it makes the index useless and
-- leaves the messages readable.

ALTER TABLE data_keys DROP CONSTRAINT data_keys_subject_kind_check;
ALTER TABLE data_keys ADD CONSTRAINT data_keys_subject_kind_check CHECK (subject_kind IN ('person', 'chat', 'bot', 'index'));
