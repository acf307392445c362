-- Instants are microseconds since 1970 in UTC. An empty tenant means none. JSON is text.

create view clock as
select cast(unixepoch('subsec') * 1000000 as integer) as now;

create table vault_canary (
    canary_id integer primary key check (canary_id = 1),
    sealed blob not null
) strict;

create table connections (
    connection_id text primary key,
    name text not null,
    description text,
    tenant text not null,
    tags text not null,
    integration text,
    provider text not null,
    base_url text not null,
    method text not null check (method in ('oauth', 'access_token')),
    token_kind text not null,
    account text,
    account_name text not null,
    use_cases text not null,
    checks text not null,
    last_checked_at integer,
    last_used_at integer,
    created_at integer not null,
    updated_at integer not null,
    unique (tenant, name)
) strict;

create table credentials (
    connection_id text primary key references connections on delete cascade,
    generation integer not null check (generation > 0),
    access_token blob not null,
    refresh_token blob,
    scopes text not null,
    renewal text not null check (renewal in ('refresh', 'self_rotate', 'manual')),
    obtained_at integer not null,
    expires_at integer,
    renew_at integer,
    last_renewed_at integer,
    stopped text,
    failure_code text,
    failure_message text,
    failure_since integer,
    failure_attempts integer not null default 0,
    rejections integer not null default 0,
    next_attempt_at integer,
    lease_holder text,
    lease_until integer,
    check ((renewal = 'refresh') = (refresh_token is not null))
) strict;
create index credentials_by_renew_at on credentials (renew_at) where stopped is null;

-- The journal: written before a provider is asked, closed after.
create table renewals (
    renewal_id text primary key,
    connection_id text not null references connections on delete cascade,
    generation integer not null,
    renewal text not null,
    cause text not null,
    started_at integer not null,
    finished_at integer,
    outcome text,
    detail text,
    answer blob
) strict;
create index renewals_by_connection on renewals (connection_id, renewal_id);

-- Tokens that a provider has still to be told to kill. They are no connection's any more.
create table revocations (
    revocation_id text primary key,
    connection_id text not null,
    integration text,
    provider text not null,
    base_url text not null,
    hint text not null check (hint in ('refresh_token', 'access_token')),
    token blob not null,
    attempts integer not null,
    next_attempt_at integer not null,
    created_at integer not null
) strict;

-- An authorization under way (RFC 6749 section 4.1): used once, ten minutes at most.
create table authorizations (
    state_hash blob primary key,
    binder_hash blob not null,
    session_hash blob not null,
    integration text not null,
    base_url text not null,
    redirect_uri text not null,
    code_verifier blob,
    scopes text not null,
    purpose text not null,
    created_at integer not null,
    expires_at integer not null,
    consumed_at integer,
    outcome text
) strict;

create table operators (
    operator_id text primary key,
    email text not null unique,
    password_hash text not null,
    created_at integer not null
) strict;

create table setup_links (
    token_hash blob primary key,
    created_at integer not null
) strict;

create table sessions (
    id_hash blob primary key,
    data text not null,
    expires_at integer not null
) strict;

create table api_keys (
    api_key_id text primary key,
    name text not null,
    tenant text not null,
    permissions text not null,
    secret_hash blob not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer,
    last_used_at integer
) strict;

-- Hand-outs by caller and day (days since 1970 in UTC).
create table usage (
    connection_id text not null,
    api_key_id text not null,
    day integer not null,
    hand_outs integer not null,
    primary key (connection_id, api_key_id, day)
) strict;

-- Append-only. Also the change feed: every change of a connection or key writes its event in the same transaction.
create table events (
    seq integer primary key autoincrement,
    event_id text not null unique,
    at integer not null,
    kind text not null,
    subject text,
    tenant text not null,
    actor text not null,
    detail text
) strict;
create index events_by_subject on events (subject, seq);
