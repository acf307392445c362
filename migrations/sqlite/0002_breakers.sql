-- An integration, or an instance that a user typed, at which renewals fail for everybody. Asked with one
-- connection until it works again. Instants are microseconds since 1970 in UTC.
create table breakers (
    circuit text primary key,
    faults integer not null,
    code text not null,
    message text not null,
    opened_at integer,
    probe_at integer,
    alarmed integer not null
) strict;
