-- The hash of the access token that a person or a program brought last, whatever it became by rotating itself: the same
-- token brought again is no news.
alter table credentials add column brought_hash bytea;
