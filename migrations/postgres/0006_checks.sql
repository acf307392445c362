-- When a connection is looked at next. Null: its credential is new, and the next round plans the first look.
alter table connections add column next_check_at bigint;
update connections set next_check_at = coalesce(last_checked_at, created_at) + 86400000000;
create index connections_by_next_check on connections (next_check_at);

-- The few entries of a long journal that may hold a spent token.
create index renewals_in_doubt on renewals (connection_id, generation)
 where outcome is null or outcome = 'uncertain';
