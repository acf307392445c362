-- When the credential was sealed for another installation, which renews it from then on, and for which one: its recipient.
alter table credentials add column exported_at integer;
alter table credentials add column exported_to text;
