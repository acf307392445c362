//! Filling the world: users, groups, projects, memberships, applications, and the person at the browser.

use crate::oauth::authorize::{Asked, Decision};
use crate::sim::Sim;
use crate::world::{App, UserId, UserState};

impl Sim {
    /// Adds a human. The first one is signed in to the browser.
    pub fn add_user(&self, username: &str) -> UserId {
        self.world().add_user(username, username)
    }

    /// Adds a human whose name is not the username.
    pub fn add_named_user(&self, username: &str, name: &str) -> UserId {
        self.world().add_user(username, name)
    }

    /// Blocks, deactivates or readmits a user of any kind.
    pub fn set_user_state(&self, user: UserId, state: UserState) {
        self.world().set_user_state(user, state);
    }

    /// Removes a user; the tokens stay in their tables and answer 401 from now on.
    pub fn delete_user(&self, user: UserId) {
        self.world().users.remove(&user);
    }

    /// Chooses who is signed in to the browser.
    pub fn sign_in_as(&self, user: UserId) {
        self.world().signed_in = Some(user);
    }

    /// The group with this full path; it and its parents are made when missing.
    pub fn add_group(&self, full_path: &str) -> i64 {
        self.world().add_group(full_path)
    }

    /// The private project with this full path; it and its groups are made when missing.
    pub fn add_project(&self, full_path: &str) -> i64 {
        self.world().add_project(full_path)
    }

    /// Makes a project public or private.
    pub fn set_project_public(&self, project: i64, public: bool) {
        if let Some(project) = self.world().projects.get_mut(&project) {
            project.public = public;
        }
    }

    /// Archives a project or brings it back.
    pub fn set_project_archived(&self, project: i64, archived: bool) {
        if let Some(project) = self.world().projects.get_mut(&project) {
            project.archived = archived;
        }
    }

    /// Makes a user a direct member, or changes the role.
    pub fn add_member_project(&self, project: i64, user: UserId, access_level: i64) {
        self.world().join_project(project, user, access_level, None);
    }

    /// Makes a user a member of a group and of everything below it, or changes the role.
    pub fn add_member_group(&self, group: i64, user: UserId, access_level: i64) {
        self.world().join_group(group, user, access_level, None);
    }

    /// Ends a direct membership.
    pub fn remove_member_project(&self, project: i64, user: UserId) {
        self.world().project_members.remove(&(project, user));
    }

    /// Ends a membership of a group.
    pub fn remove_member_group(&self, group: i64, user: UserId) {
        self.world().group_members.remove(&(group, user));
    }

    /// Registers a confidential application; several redirect URIs stand one on a line.
    pub fn add_application(&self, redirect_uri: &str, scopes: &[&str]) -> App {
        self.world().add_application(redirect_uri, scopes)
    }

    /// Registers an application that may leave out its secret.
    pub fn add_public_application(&self, redirect_uri: &str, scopes: &[&str]) -> App {
        let mut world = self.world();
        let app = world.add_application(redirect_uri, scopes);
        if let Some(application) = world.applications.get_mut(&app.client_id) {
            application.confidential = false;
        }
        app
    }

    /// Registers an application that skips the consent page, as an administrator can make one.
    pub fn add_trusted_application(&self, redirect_uri: &str, scopes: &[&str]) -> App {
        let mut world = self.world();
        let app = world.add_application(redirect_uri, scopes);
        if let Some(application) = world.applications.get_mut(&app.client_id) {
            application.trusted = true;
        }
        app
    }

    /// Registers a confidential application whose credentials are known beforehand.
    pub fn register_application(&self, app: &App, redirect_uri: &str, scopes: &[&str]) {
        self.world().register(app, redirect_uri, scopes);
    }

    /// Changes the name that the consent page shows.
    pub fn set_application_name(&self, client_id: &str, name: &str) {
        if let Some(application) = self.world().applications.get_mut(client_id) {
            name.clone_into(&mut application.name);
        }
    }

    /// Replaces the redirect URIs, one on a line.
    pub fn set_redirect_uri(&self, client_id: &str, redirect_uri: &str) {
        if let Some(application) = self.world().applications.get_mut(client_id) {
            application.redirect_uris = redirect_uri.lines().map(|line| line.trim().to_owned()).collect();
        }
    }

    /// Gives an application a new secret; the old one is wrong at once.
    pub fn renew_secret(&self, client_id: &str) -> String {
        self.world().renew_secret(client_id)
    }

    /// Deletes an application with its codes and tokens.
    pub fn delete_application(&self, client_id: &str) {
        self.world().delete_application(client_id);
    }

    /// Consents to an authorize URL as the signed-in user. The answer is the `Location` that the browser is
    /// sent to; the error is the sentence that GitLab's error page shows.
    pub fn approve(&self, authorize_url: &str) -> Result<String, String> {
        self.world().decide(&Asked::of_url(authorize_url)?, Decision::Authorize)
    }

    /// Presses Cancel on the consent page of an authorize URL.
    pub fn deny(&self, authorize_url: &str) -> Result<String, String> {
        self.world().decide(&Asked::of_url(authorize_url)?, Decision::Cancel)
    }
}
