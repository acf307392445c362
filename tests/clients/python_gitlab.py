"""What a program does with python-gitlab, through Mooring: only the URL and the token are other ones."""
import os
import warnings

import gitlab

warnings.simplefilter("error")  # the library warns when a page's address is not the one that it knows

gl = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token=os.environ["GITLAB_TOKEN"], retry_transient_errors=False)

paths = [project.path_with_namespace for project in gl.projects.list(membership=True, per_page=3, iterator=True)]
assert sorted(paths) == sorted(os.environ["PROJECTS"].split()), paths
assert len(gl.projects.list(membership=True, per_page=3, page=2)) == 3

project = gl.projects.get("acme/web")
assert project.path_with_namespace == "acme/web"
assert gl.user is None
with warnings.catch_warnings():
    # A person's page is at GitLab itself, and the library notices. `keep_base_url=True` would tell it that this is meant.
    warnings.simplefilter("ignore")
    gl.auth()
assert gl.user.username == "alice", gl.user

hook = project.hooks.create({"url": "https://review.example.com/hook", "merge_requests_events": True, "push_events": False})
assert hook.merge_requests_events is True
assert [one.id for one in project.hooks.list(get_all=True)] == [hook.id]
hook.delete()
assert project.hooks.list(get_all=True) == []

try:
    gl.projects.get("acme/nothing")
    raise SystemExit("what is not there was found")
except gitlab.GitlabGetError as error:
    assert (error.response_code, error.error_message) == (404, "404 Project Not Found"), error

try:
    project.hooks.create({"url": "no address"})
    raise SystemExit("a hook without an address was made")
except gitlab.GitlabCreateError as error:
    assert (error.response_code, error.error_message) == (422, "Invalid url given"), error

stranger = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token="moor_wrong")
try:
    stranger.projects.get("acme/web")
    raise SystemExit("a wrong key was let in")
except gitlab.GitlabAuthenticationError as error:
    assert error.response_code == 401, error

print("done")
