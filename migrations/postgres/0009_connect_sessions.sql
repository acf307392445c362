create table connect_sessions (
    connect_session_id text primary key,
    link_hash bytea not null unique,
    api_key_id text not null,
    tenant text not null,
    end_user text not null,
    integration text,
    methods text not null,
    use_cases text not null,
    return_url text not null,
    connection_id text,
    state text not null check (state in ('open', 'awaiting_completion', 'completed', 'failed')),
    error text,
    binder_hash bytea,
    waiting bytea,
    waiting_until bigint,
    handle_hash bytea,
    created_at bigint not null,
    expires_at bigint not null,
    check (waiting is null or state = 'awaiting_completion')
);
create index connect_sessions_waiting on connect_sessions (waiting_until) where waiting is not null;
