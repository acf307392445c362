-- How many of its chosen use cases a connection does not meet. The database keeps it by itself, out of the two columns
-- that say so, whoever writes them: a status can be looked for without reading JSON.
alter table connections add column unmet integer not null default 0;

create trigger connections_count_unmet
after update of use_cases, checks on connections
begin
    update connections
       set unmet = (select count(*)
                      from json_each(new.checks) as made
                     where json_extract(made.value, '$.outcome') in ('insufficient_scope', 'insufficient_role')
                       and json_extract(made.value, '$.use_case') in (select value from json_each(new.use_cases)))
     where connection_id = new.connection_id;
end;

create trigger connections_count_unmet_first
after insert on connections
begin
    update connections set checks = checks where connection_id = new.connection_id;
end;

update connections set checks = checks;

-- Ends that a person must see to.
create index credentials_of_people_by_end on credentials (expires_at) where renewal = 'manual' and stopped is null;
