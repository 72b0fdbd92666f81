-- Rows of devices are packed and longer than half a page: in a table without row ids each would take a page of its own.
CREATE TABLE device_row (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, device TEXT NOT NULL, state BLOB NOT NULL, UNIQUE (tenant, device));
INSERT INTO device_row (tenant, device, state) SELECT tenant, device, state FROM device;
DROP TABLE device;
ALTER TABLE device_row RENAME TO device;
