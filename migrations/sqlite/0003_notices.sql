-- Where events are told: the receivers of webhooks, what is still to be delivered, and how far the log was read.

create table webhook_endpoints (
    endpoint_id text primary key,
    url text not null,
    description text,
    events text not null,
    tenant text not null,
    secret blob not null,
    previous_secret blob,
    previous_until integer,
    failures integer not null default 0,
    retry_at integer,
    disabled_at integer,
    disabled_reason text,
    created_at integer not null,
    check ((previous_secret is null) = (previous_until is null))
) strict;

-- A channel is an endpoint's id, or the word mail.
create table deliveries (
    delivery_id text primary key,
    channel text not null,
    event_seq integer not null,
    event_id text not null,
    kind text not null,
    subject text,
    body text not null,
    attempts integer not null,
    next_attempt_at integer not null,
    give_up_at integer not null,
    delivered_at integer,
    dead_at integer,
    last_status integer,
    last_error text,
    created_at integer not null,
    unique (channel, event_id)
) strict;
create index deliveries_waiting on deliveries (channel, event_seq) where delivered_at is null and dead_at is null;
create index deliveries_dead on deliveries (channel) where dead_at is not null;
create index deliveries_by_subject on deliveries (channel, subject, event_seq) where delivered_at is null and dead_at is null;

create table cursors (
    name text primary key,
    seq integer not null
) strict;

-- What happened before is not told: nobody asked for it then.
insert into cursors (name, seq)
select 'notices', coalesce(max(seq), 0) from events;
