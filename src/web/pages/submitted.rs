//! What a person filled in to connect, as it was sent. It never keeps the token.

use super::{form::Form, renewal, settings::in_order};
use crate::{
    connect::{Fields, Target},
    providers::Instances,
};

/// The choice of an instance that nobody configured. No integration's id has an underscore.
pub(super) const SELF_HOSTED: &str = "self_hosted";

/// The form's answers besides the token.
#[derive(Clone, Debug, Default)]
pub(super) struct Submitted {
    pub(super) integration: String,
    pub(super) base_url: String,
    pub(super) name: String,
    pub(super) use_cases: Vec<String>,
    /// Whether the pasted token is to rotate itself.
    pub(super) rotates_itself: bool,
}

impl Submitted {
    pub(super) fn of(form: &Form, instances: &Instances) -> Self {
        let chosen = form.filled("integration").map(str::to_owned);
        Self {
            integration: chosen.unwrap_or_else(|| first_choice(form, instances)),
            base_url: form.text("base_url").to_owned(),
            name: form.text("name").to_owned(),
            use_cases: form.all("use_cases"),
            rotates_itself: form.filled(renewal::FIELD).is_some(),
        }
    }

    pub(super) fn target(&self) -> Target {
        if self.integration == SELF_HOSTED {
            Target::BaseUrl(self.base_url.clone())
        } else {
            Target::Integration(self.integration.clone())
        }
    }

    pub(super) fn fields(&self) -> Fields {
        Fields { name: self.name.clone(), use_cases: self.use_cases.clone(), ..Fields::default() }
    }

    /// The form with these answers filled in. The token is not among them.
    pub(super) fn address(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("integration", &self.integration);
        if self.integration == SELF_HOSTED {
            query.append_pair("base_url", &self.base_url);
        }
        if !self.name.is_empty() {
            query.append_pair("name", &self.name);
        }
        query.extend_pairs(self.use_cases.iter().map(|u| ("use_cases", u)));
        if self.rotates_itself {
            query.append_pair(renewal::FIELD, "yes");
        }
        format!("/connections/new?{}", query.finish())
    }

    /// The name, where one was given: OAuth can do without.
    pub(super) fn own_name(&self) -> Option<String> {
        Some(self.name.clone()).filter(|name| !name.is_empty())
    }
}

/// Nothing was chosen: a base URL says where, else the first integration.
fn first_choice(form: &Form, instances: &Instances) -> String {
    if form.filled("base_url").is_some() {
        return SELF_HOSTED.to_owned();
    }
    in_order(instances).next().map_or_else(|| SELF_HOSTED.to_owned(), |i| i.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitted(text: &str) -> Submitted {
        Submitted::of(&Form::parse(text.as_bytes()), &Instances::new([], None))
    }

    #[test]
    fn the_choice_says_where_and_not_what_is_left_in_a_field() {
        let chosen = submitted("integration=acme&base_url=https://other.example.com&name=a");
        assert!(matches!(chosen.target(), Target::Integration(id) if id == "acme"));
        let typed = submitted("integration=self_hosted&base_url=https://other.example.com");
        assert!(matches!(typed.target(), Target::BaseUrl(url) if url == "https://other.example.com"));
    }
}
