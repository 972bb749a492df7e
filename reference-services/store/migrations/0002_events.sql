-- Events of POST /v1/events/batch.

-- Numbers the processes that write events.
CREATE SEQUENCE event_writers;

CREATE TABLE events (
    writer   BIGINT  NOT NULL,
    -- Numbers the requests of one writer.
    batch    BIGINT  NOT NULL,
    -- Numbers the events of one request, from 0 up. The key makes writing an event twice the same as writing it once.
    position INTEGER NOT NULL,
    -- How many events the request had: the audit compares.
    size     INTEGER NOT NULL,
    device   TEXT    NOT NULL,
    -- Milliseconds since 1970.
    at_ms    BIGINT  NOT NULL,
    value    DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (writer, batch, position)
);
