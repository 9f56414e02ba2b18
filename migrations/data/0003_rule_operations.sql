-- Owner: crates/bots
-- Why: an operation that writes a rule and dies before it has said so must find out whether it did, and who reads a version must find
-- the operation, and with it the person, that wrote it.

ALTER TABLE bot_rule_versions ADD COLUMN operation text CHECK (operation <> '');
CREATE UNIQUE INDEX bot_rule_versions_by_operation ON bot_rule_versions (bot_id, operation) WHERE operation IS NOT NULL;
