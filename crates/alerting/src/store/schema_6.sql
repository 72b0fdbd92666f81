-- Which rows are about an alert. A row that was damaged and is no JSON is about none. Rows that are cut off leave the index too.
CREATE INDEX journal_alert ON journal (CASE WHEN json_valid(body) THEN json_extract(body, '$.alert') END)
    WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.alert') END IS NOT NULL;
