-- Pages that another instance over the same frames has delivered: they do not leave here, also if they are planned later.
CREATE TABLE told_elsewhere (n INTEGER PRIMARY KEY, transition_id TEXT NOT NULL, receiver TEXT NOT NULL, UNIQUE (transition_id, receiver));
