-- Contract v1: accounts and the transfers between them, and items with a version.

CREATE TABLE accounts (
    id            BIGINT PRIMARY KEY,
    currency      TEXT   NOT NULL,
    -- What the account held when it was opened: the audit adds the ledger to it and compares.
    opening_minor BIGINT NOT NULL,
    balance_minor BIGINT NOT NULL CHECK (balance_minor >= 0)
);

CREATE TABLE transfers (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Not unique by constraint: idempotency_keys is what makes it so, and the audit checks that it did.
    idempotency_key TEXT   NOT NULL,
    from_account    BIGINT NOT NULL REFERENCES accounts,
    to_account      BIGINT NOT NULL REFERENCES accounts,
    amount_minor    BIGINT NOT NULL CHECK (amount_minor > 0),
    currency        TEXT   NOT NULL,
    CHECK (from_account <> to_account)
);

-- Two rows for every transfer, which add up to zero.
CREATE TABLE ledger_entries (
    transfer_id  BIGINT NOT NULL REFERENCES transfers,
    account_id   BIGINT NOT NULL REFERENCES accounts,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (transfer_id, account_id)
);

CREATE TABLE idempotency_keys (
    key         TEXT PRIMARY KEY,
    -- Tells the order that the key was first used for from any other.
    fingerprint TEXT NOT NULL,
    -- The answer, as JSON text. Null only inside the transaction that books the transfer.
    response    TEXT,
    -- How often the answer was given again; the audit takes these apart from first answers.
    replays     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE items (
    id          BIGINT  PRIMARY KEY,
    name        TEXT    NOT NULL,
    category    INTEGER NOT NULL,
    price_minor BIGINT  NOT NULL,
    version     BIGINT  NOT NULL DEFAULT 1
);

-- For pages of one category in ascending id.
CREATE INDEX items_by_category ON items (category, id);
