-- What a person may do, when they last came in, and whom they invited. A session is somebody's, and ends with them.
alter table operators add column role text not null default 'administrator' check (role in ('administrator', 'viewer'));
alter table operators add column last_signed_in_at integer;

create table invitations (
    token_hash blob primary key,
    email text not null unique,
    role text not null check (role in ('administrator', 'viewer')),
    invited_by text not null references operators on delete cascade,
    created_at integer not null,
    expires_at integer not null
) strict;

alter table sessions add column operator_id text references operators on delete cascade;
update sessions
   set operator_id = (select o.operator_id from operators o
                       where o.operator_id = json_extract(sessions.data, '$.operator'));
create index sessions_by_operator on sessions (operator_id);

-- An endpoint that a person paused: its notices wait.
alter table webhook_endpoints add column paused_at integer;

-- What an API key was used for lately.
create index usage_by_key on usage (api_key_id, day);
