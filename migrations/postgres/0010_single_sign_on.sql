-- Who signs in by single sign-on: the issuer, and its own word for the person. An empty password hash opens nothing.
alter table operators add column issuer text;
alter table operators add column subject text;
create unique index operators_by_identity on operators (issuer, subject);

-- People who were removed: single sign-on does not let them in anew.
create table kept_out (
    email text primary key,
    issuer text,
    subject text,
    removed_at bigint not null
);

-- A sign-in at the issuer under way: used once, ten minutes at most. With an operator it joins the two.
create table single_sign_ons (
    state_hash bytea primary key,
    binder_hash bytea not null,
    issuer text not null,
    nonce_hash bytea not null,
    code_verifier bytea not null,
    next text not null,
    operator_id text references operators on delete cascade,
    created_at bigint not null,
    expires_at bigint not null
);
