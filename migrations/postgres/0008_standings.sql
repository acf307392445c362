-- How many of its chosen use cases a connection does not meet. The database keeps it by itself, out of the two columns
-- that say so, whoever writes them: a status can be looked for without reading JSON. A null character, which a path
-- at the provider could hold, is no jsonb.
alter table connections add column unmet bigint not null default 0;

create function count_unmet_use_cases() returns trigger language plpgsql as $$
begin
    new.unmet := (select count(*)
                    from jsonb_array_elements(replace(new.checks, '\u0000', '\u0001')::jsonb) as made
                   where made ->> 'outcome' in ('insufficient_scope', 'insufficient_role')
                     and new.use_cases::jsonb ? (made ->> 'use_case'));
    return new;
end
$$;

create trigger connections_count_unmet
before insert or update of use_cases, checks on connections
for each row execute function count_unmet_use_cases();

update connections set checks = checks;

-- Ends that a person must see to.
create index credentials_of_people_by_end on credentials (expires_at) where renewal = 'manual' and stopped is null;
