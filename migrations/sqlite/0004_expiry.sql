-- What was told of the end of a credential: how long before it, in microseconds; 0 is the end itself. Null in
-- each new generation. What nobody can renew is looked through by its end, until its end was told.
alter table credentials add column told_before integer;
create index credentials_by_end on credentials (expires_at, told_before)
 where renewal <> 'refresh' and stopped is null and (told_before is null or told_before > 0);

-- When the hand-outs of a day were told in the log. Days before this version are not told afterwards.
alter table usage add column told_at integer;
update usage
   set told_at = (select now from clock)
 where day < (select now from clock) / 86400000000;
create index usage_untold on usage (day) where told_at is null;
