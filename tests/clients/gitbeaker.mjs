// What a program does with @gitbeaker/rest, through Mooring: only the host and the token are other ones.
import assert from "node:assert/strict";
import { Gitlab } from "@gitbeaker/rest";

const { GITLAB_URL: host, GITLAB_TOKEN: token, PROJECTS } = process.env;
const api = new Gitlab({ host, token });

const all = await api.Projects.all({ membership: true, perPage: 3 });
assert.deepEqual(all.map((project) => project.path_with_namespace).sort(), PROJECTS.split(" ").sort());
const { data, paginationInfo } = await api.Projects.all({ membership: true, perPage: 3, maxPages: 1, page: 2, showExpanded: true });
assert.equal(data.length, 3);
assert.equal(paginationInfo.current, 2);

const project = await api.Projects.show("acme/web");
assert.equal(project.path_with_namespace, "acme/web");
assert.equal((await api.Users.showCurrentUser()).username, "alice");

const hook = await api.ProjectHooks.add("acme/web", "https://review.example.com/hook", { mergeRequestsEvents: true, pushEvents: false });
assert.equal(hook.merge_requests_events, true);
assert.deepEqual((await api.ProjectHooks.all("acme/web")).map((one) => one.id), [hook.id]);
await api.ProjectHooks.remove("acme/web", hook.id);
assert.deepEqual(await api.ProjectHooks.all("acme/web"), []);

const refused = async (call) => {
  const error = await call.then(() => assert.fail("it was let in"), (error) => error);
  return [error.cause?.response?.status, error.cause?.description];
};
assert.deepEqual(await refused(api.Projects.show("acme/nothing")), [404, "404 Project Not Found"]);
const stranger = new Gitlab({ host, token: "moor_wrong" });
assert.equal((await refused(stranger.Projects.show("acme/web")))[0], 401);

console.log("done");
