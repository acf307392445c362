-- PostgreSQL wakes the processes that follow the log; SQLite cannot, and they look every 300 ms as they do there.
select 1;
