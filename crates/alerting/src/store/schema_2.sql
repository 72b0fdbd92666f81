ALTER TABLE alert ADD COLUMN ended_us INTEGER;
UPDATE alert SET ended_us = decided_us WHERE open = 0;
CREATE INDEX alert_ended ON alert (open, ended_us);
ALTER TABLE fact ADD COLUMN touched_us INTEGER NOT NULL DEFAULT 0;
UPDATE fact SET touched_us = CAST(strftime('%s', 'now') AS INTEGER) * 1000000;
CREATE INDEX fact_touched ON fact (touched_us);
ALTER TABLE free_text ADD COLUMN alert_id TEXT;
ALTER TABLE outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 3;
CREATE TABLE journal_anchor (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL, hash BLOB NOT NULL);
