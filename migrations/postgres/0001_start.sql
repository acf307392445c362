-- Instants are microseconds since 1970 in UTC. An empty tenant means none. JSON is text.

create view clock as
select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now;

create table vault_canary (
    canary_id bigint primary key check (canary_id = 1),
    sealed bytea not null
);

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
    last_checked_at bigint,
    last_used_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    unique (tenant, name)
);

create table credentials (
    connection_id text primary key references connections on delete cascade,
    generation bigint not null check (generation > 0),
    access_token bytea not null,
    refresh_token bytea,
    scopes text not null,
    renewal text not null check (renewal in ('refresh', 'self_rotate', 'manual')),
    obtained_at bigint not null,
    expires_at bigint,
    renew_at bigint,
    last_renewed_at bigint,
    stopped text,
    failure_code text,
    failure_message text,
    failure_since bigint,
    failure_attempts bigint not null default 0,
    rejections bigint not null default 0,
    next_attempt_at bigint,
    lease_holder text,
    lease_until bigint,
    check ((renewal = 'refresh') = (refresh_token is not null))
);
create index credentials_by_renew_at on credentials (renew_at) where stopped is null;

-- The journal: written before a provider is asked, closed after.
create table renewals (
    renewal_id text primary key,
    connection_id text not null references connections on delete cascade,
    generation bigint not null,
    renewal text not null,
    cause text not null,
    started_at bigint not null,
    finished_at bigint,
    outcome text,
    detail text,
    answer bytea
);
create index renewals_by_connection on renewals (connection_id, renewal_id);

-- Tokens that a provider has still to be told to kill. They are no connection's any more.
create table revocations (
    revocation_id text primary key,
    connection_id text not null,
    integration text,
    provider text not null,
    base_url text not null,
    hint text not null check (hint in ('refresh_token', 'access_token')),
    token bytea not null,
    attempts bigint not null,
    next_attempt_at bigint not null,
    created_at bigint not null
);

-- An authorization under way (RFC 6749 section 4.1): used once, ten minutes at most.
create table authorizations (
    state_hash bytea primary key,
    binder_hash bytea not null,
    session_hash bytea not null,
    integration text not null,
    base_url text not null,
    redirect_uri text not null,
    code_verifier bytea,
    scopes text not null,
    purpose text not null,
    created_at bigint not null,
    expires_at bigint not null,
    consumed_at bigint,
    outcome text
);

create table operators (
    operator_id text primary key,
    email text not null unique,
    password_hash text not null,
    created_at bigint not null
);

create table setup_links (
    token_hash bytea primary key,
    created_at bigint not null
);

create table sessions (
    id_hash bytea primary key,
    data text not null,
    expires_at bigint not null
);

create table api_keys (
    api_key_id text primary key,
    name text not null,
    tenant text not null,
    permissions text not null,
    secret_hash bytea not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint
);

-- Hand-outs by caller and day (days since 1970 in UTC).
create table usage (
    connection_id text not null,
    api_key_id text not null,
    day bigint not null,
    hand_outs bigint not null,
    primary key (connection_id, api_key_id, day)
);

-- Append-only. Also the change feed: every change of a connection or key writes its event in the same transaction.
create table events (
    seq bigint generated always as identity primary key,
    event_id text not null unique,
    at bigint not null,
    kind text not null,
    subject text,
    tenant text not null,
    actor text not null,
    detail text
);
create index events_by_subject on events (subject, seq);
