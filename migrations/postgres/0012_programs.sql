-- Calls with an Idempotency-Key, for a day, by the API key's id and the hash of the name: claimed before they are made,
-- and answered again, from what is sealed.
create table idempotent_calls (
    call_id text primary key,
    request_hash bytea not null,
    claimed_at bigint not null,
    answer bytea
);
create index idempotent_calls_claimed on idempotent_calls (claimed_at);

-- The requests that a key may send through the proxy, as JSON. Empty: all.
alter table api_keys add column allow text not null default '[]';
