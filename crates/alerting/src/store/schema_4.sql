ALTER TABLE outbox ADD COLUMN due_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN overdue INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_order ON outbox (receiver, alert_id, n);
CREATE TABLE open_there (receiver TEXT NOT NULL, alert_id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (receiver, alert_id)) WITHOUT ROWID;
