-- Who signs in by single sign-on: the issuer, and its own word for the person. An empty password hash opens nothing.
alter table operators add column issuer text;
alter table operators add column subject text;
create unique index operators_by_identity on operators (issuer, subject);

-- People who were removed: single sign-on does not let them in anew.
create table kept_out (
    email text primary key,
    issuer text,
    subject text,
    removed_at integer not null
) strict;

-- A sign-in at the issuer under way: used once, ten minutes at most. With an operator it joins the two.
create table single_sign_ons (
    state_hash blob primary key,
    binder_hash blob not null,
    issuer text not null,
    nonce_hash blob not null,
    code_verifier blob not null,
    next text not null,
    operator_id text references operators on delete cascade,
    created_at integer not null,
    expires_at integer not null
) strict;
