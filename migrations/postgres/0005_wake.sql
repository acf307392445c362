-- Wakes the processes that follow the log. It carries nothing: they look for themselves, and they look without it too.
create function wake_followers_of_events() returns trigger language plpgsql as $$
begin
    perform pg_notify('mooring_events', '');
    return null;
end
$$;

create trigger events_wake_followers
after insert on events
for each statement execute function wake_followers_of_events();
