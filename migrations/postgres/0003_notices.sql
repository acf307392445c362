-- Where events are told: the receivers of webhooks, what is still to be delivered, and how far the log was read.

create table webhook_endpoints (
    endpoint_id text primary key,
    url text not null,
    description text,
    events text not null,
    tenant text not null,
    secret bytea not null,
    previous_secret bytea,
    previous_until bigint,
    failures bigint not null default 0,
    retry_at bigint,
    disabled_at bigint,
    disabled_reason text,
    created_at bigint not null,
    check ((previous_secret is null) = (previous_until is null))
);

-- A channel is an endpoint's id, or the word mail.
create table deliveries (
    delivery_id text primary key,
    channel text not null,
    event_seq bigint not null,
    event_id text not null,
    kind text not null,
    subject text,
    body text not null,
    attempts bigint not null,
    next_attempt_at bigint not null,
    give_up_at bigint not null,
    delivered_at bigint,
    dead_at bigint,
    last_status bigint,
    last_error text,
    created_at bigint not null,
    unique (channel, event_id)
);
create index deliveries_waiting on deliveries (channel, event_seq) where delivered_at is null and dead_at is null;
create index deliveries_dead on deliveries (channel) where dead_at is not null;
create index deliveries_by_subject on deliveries (channel, subject, event_seq) where delivered_at is null and dead_at is null;

create table cursors (
    name text primary key,
    seq bigint not null
);

-- What happened before is not told: nobody asked for it then.
insert into cursors (name, seq)
select 'notices', coalesce(max(seq), 0) from events;
