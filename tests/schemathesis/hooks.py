"""Turns some of what schemathesis makes up into what exists, so that calls get past the first refusal.

`PROBE` is the id of a connection, `TOKEN` an access token that the simulated GitLab knows. Nothing leads away from this
machine: addresses of webhooks are changed to one here at which nobody listens.
"""
import os
import zlib

import schemathesis

NOBODY = "http://127.0.0.1:9/hooks"


def every_other(text):
    return zlib.crc32(str(text).encode("utf-8", "surrogatepass")) % 2 == 0


@schemathesis.hook
def before_call(context, case, **kwargs):
    path = case.path_parameters or {}
    # The probe stays: only what was made up is deleted.
    if isinstance(path.get("ref"), str) and case.method != "DELETE" and every_other(path["ref"]):
        path["ref"] = os.environ["PROBE"]
    body = case.body
    if not isinstance(body, dict):
        return
    if isinstance(body.get("url"), str) and "//" in body["url"]:
        body["url"] = NOBODY
    if isinstance(body.get("token"), str) and body["token"] and every_other(body["token"]):
        body["token"] = os.environ["TOKEN"]
