CREATE TABLE records (
    partition TEXT NOT NULL,
    sort TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    body TEXT NOT NULL,
    wake_status TEXT,
    wake_second INTEGER,
    wake_nanosecond INTEGER,
    PRIMARY KEY (partition, sort)
) STRICT;

CREATE INDEX records_waking ON records (wake_status, wake_second, wake_nanosecond)
    WHERE wake_status IS NOT NULL;

CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    visible_second INTEGER NOT NULL,
    visible_nanosecond INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_visible ON messages (queue, visible_second, visible_nanosecond, number);

CREATE TABLE dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    receive_count INTEGER NOT NULL,
    died_second INTEGER NOT NULL,
    died_nanosecond INTEGER NOT NULL
) STRICT;
