-- When the credential was sealed for another installation, which renews it from then on.
alter table credentials add column exported_at bigint;
