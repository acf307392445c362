//! Groups, projects, webhooks, and who is a member of what. Membership of a group reaches everything below it.

use time::{Date, OffsetDateTime};

use super::{UserId, World};

/// A group; subgroups have a parent.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: i64,
    pub(crate) parent: Option<i64>,
    pub(crate) path: String,
    pub(crate) full_path: String,
    pub(crate) created_at: OffsetDateTime,
}

/// A project in a group.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) id: i64,
    pub(crate) group: i64,
    pub(crate) path: String,
    pub(crate) full_path: String,
    pub(crate) public: bool,
    pub(crate) archived: bool,
    pub(crate) created_at: OffsetDateTime,
}

/// A direct membership.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) level: i64,
    pub(crate) since: OffsetDateTime,
    pub(crate) expires_at: Option<Date>,
}

/// A project webhook.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) id: i64,
    pub(crate) project: i64,
    pub(crate) created_at: OffsetDateTime,
    /// Everything that was sent when it was made.
    pub(crate) params: Vec<(String, String)>,
}

impl World {
    /// The group with this path; it and its ancestors are made when missing.
    pub(crate) fn add_group(&mut self, full_path: &str) -> i64 {
        if let Some(group) = self.groups.values().find(|group| group.full_path == full_path) {
            return group.id;
        }
        let (parent, path) = match full_path.rsplit_once('/') {
            Some((above, last)) => (Some(self.add_group(above)), last),
            None => (None, full_path),
        };
        let (id, created_at) = (self.next_id(), self.now());
        let (path, full_path) = (path.to_owned(), full_path.to_owned());
        self.groups.insert(id, Group { id, parent, path, full_path, created_at });
        id
    }

    /// The project with this path; it and its groups are made when missing. A bare name lands in `demo`.
    pub(crate) fn add_project(&mut self, full_path: &str) -> i64 {
        if let Some(project) = self.projects.values().find(|project| project.full_path == full_path) {
            return project.id;
        }
        let (above, path) = full_path.rsplit_once('/').unwrap_or(("demo", full_path));
        let full_path = format!("{above}/{path}");
        let group = self.add_group(above);
        let (id, created_at, path) = (self.next_id(), self.now(), path.to_owned());
        let project = Project { id, group, path, full_path, public: false, archived: false, created_at };
        self.projects.insert(id, project);
        id
    }

    pub(crate) fn join_project(&mut self, project: i64, user: UserId, level: i64, expires_at: Option<Date>) {
        let since = self.now();
        self.project_members.insert((project, user), Member { level, since, expires_at });
    }

    pub(crate) fn join_group(&mut self, group: i64, user: UserId, level: i64, expires_at: Option<Date>) {
        let since = self.now();
        self.group_members.insert((group, user), Member { level, since, expires_at });
    }

    /// A project by number or by full path.
    pub(crate) fn find_project(&self, reference: &str) -> Option<&Project> {
        match reference.parse() {
            Ok(id) => self.projects.get(&id),
            Err(_) => {
                self.projects.values().find(|project| project.full_path.eq_ignore_ascii_case(reference))
            }
        }
    }

    /// A group by number or by full path.
    pub(crate) fn find_group(&self, reference: &str) -> Option<&Group> {
        match reference.parse() {
            Ok(id) => self.groups.get(&id),
            Err(_) => self.groups.values().find(|group| group.full_path.eq_ignore_ascii_case(reference)),
        }
    }

    /// The group and everything above it.
    fn lineage(&self, group: i64) -> impl Iterator<Item = &Group> {
        std::iter::successors(self.groups.get(&group), |group| self.groups.get(&group.parent?))
    }

    /// Whether `group` is `ancestor` or lies below it.
    pub(crate) fn is_within(&self, group: i64, ancestor: i64) -> bool {
        self.lineage(group).any(|above| above.id == ancestor)
    }

    /// The strongest membership of a user in a group, own or inherited.
    pub(crate) fn group_member(&self, group: i64, user: UserId) -> Option<Member> {
        let memberships = self.lineage(group).filter_map(|above| self.group_members.get(&(above.id, user)));
        memberships.max_by_key(|member| member.level).copied()
    }

    /// The direct membership of a user in a project.
    pub(crate) fn direct_member(&self, project: i64, user: UserId) -> Option<Member> {
        self.project_members.get(&(project, user)).copied()
    }

    /// The strongest membership of a user in a project, direct or through its groups.
    pub(crate) fn project_member(&self, project: &Project, user: UserId) -> Option<Member> {
        let direct = self.direct_member(project.id, user);
        direct.into_iter().chain(self.group_member(project.group, user)).max_by_key(|member| member.level)
    }

    /// A group is seen by its members and by the members of any project in it.
    pub(crate) fn sees_group(&self, group: i64, user: UserId) -> bool {
        let through_project = |project: &Project| {
            self.direct_member(project.id, user).is_some() && self.is_within(project.group, group)
        };
        self.group_member(group, user).is_some() || self.projects.values().any(through_project)
    }

    pub(crate) fn sees_project(&self, project: &Project, user: UserId) -> bool {
        project.public || self.project_member(project, user).is_some()
    }
}
