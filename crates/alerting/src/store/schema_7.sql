-- What lists of alerts are filtered and ordered by, beside the body: whether a person is needed, how urgent, where, by which rule.
ALTER TABLE alert ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN urgency INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN clinic TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN rule TEXT NOT NULL DEFAULT '';
UPDATE alert SET
    waits = coalesce(json_extract(body, '$.life.confirmed') AND NOT json_extract(body, '$.life.acknowledged')
        AND NOT json_extract(body, '$.life.resolved'), 0),
    urgency = CASE json_extract(body, '$.priority') WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 ELSE 0 END,
    clinic = coalesce(json_extract(body, '$.clinic'), ''),
    device = coalesce(json_extract(body, '$.device'), ''),
    rule = coalesce(json_extract(body, '$.rule'), '')
    WHERE json_valid(body);
-- Bodies are long: lists are made from the indexes, and only the bodies of one page are read.
CREATE INDEX alert_inbox ON alert (open, waits DESC, urgency DESC, decided_us DESC, state, tenant, clinic, device, rule);
CREATE INDEX alert_of_device ON alert (tenant, device, decided_us DESC, rule);
