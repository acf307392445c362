#!/usr/bin/env python3
"""A product whose users connect their GitLab through Mooring. No library is needed, and no token is ever seen here.

Each user of the product gets one connection. Three calls make it:

1. The user presses "Connect GitLab". The product begins a connect session for that user and sends the browser there.
2. The browser comes back to /connected with the session's id and a one-time handle.
3. The product completes the session with the handle and the user who is signed in *now*. Only this makes the connection:
   a link that somebody sent to somebody else comes to nothing.

From then on the product sends GitLab's own requests to Mooring's proxy.

    MOORING_URL=http://localhost:8080 MOORING_API_KEY=moor_... python3 examples/product/product.py

The API key needs the scopes connections:write and proxy, and a tenant of its own. Mooring must know the address that
browsers come back to: MOORING_RETURN_URLS=http://localhost:3000/connected
"""
import json
import os
import secrets
from html import escape
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import Request, urlopen

MOORING = os.environ.get("MOORING_URL", "http://localhost:8080").rstrip("/")
API_KEY = os.environ["MOORING_API_KEY"]
TENANT = os.environ.get("MOORING_TENANT", "example")
PORT = int(os.environ.get("PORT", "3000"))
SITE = f"http://localhost:{PORT}"

SIGNED_IN = {}  # cookie -> {"user", "form" (proves that a form is ours), "session" (the connect session under way)}
CONNECTIONS = {}  # user -> id of the connection; a real product keeps this in its database


class Refused(Exception):
    """Mooring said no. `code` is stable, `detail` is a sentence for people."""

    def __init__(self, code, detail):
        super().__init__(detail)
        self.code, self.detail = code, detail


def mooring(method, path, body=None):
    """Calls Mooring, or GitLab through its proxy. Gives the JSON of the answer."""
    request = Request(MOORING + path, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Authorization", f"Bearer {API_KEY}")
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except HTTPError as error:
        try:
            problem = json.load(error)
        except ValueError:
            problem = {}
        raise Refused(problem.get("code", str(error.code)), problem.get("detail", "The request was refused.")) from None
    except URLError:
        raise Refused("unreachable", "Mooring does not answer. Try again in a minute.") from None


def begin(user):
    """Step 1. A connection that is there already is reconnected under its id."""
    wish = {"tenant": TENANT, "end_user": user, "use_cases": ["read-only"], "return_url": f"{SITE}/connected"}
    if user in CONNECTIONS:
        wish = {**wish, "connection": CONNECTIONS[user]}
    return mooring("POST", "/api/v1/connect-sessions", wish)


def complete(session, handle, user):
    """Step 3."""
    done = mooring("POST", f"/api/v1/connect-sessions/{quote(session, safe='')}/complete", {"handle": handle, "end_user": user})
    CONNECTIONS[user] = done["id"]


def projects(user):
    """Step 4, for as long as the connection lives. The path after the connection's id is GitLab's own."""
    return mooring("GET", f"/proxy/{CONNECTIONS[user]}/api/v4/projects?" + urlencode({"membership": "true", "per_page": 20}))


class Product(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urlsplit(self.path)
        me = self.me()
        if address.path not in ("/", "/connected"):
            return self.page("Not found", "<p>Nothing is here.</p>", 404)
        if me is None:
            return self.page("Sign in", SIGN_IN)
        if address.path == "/":
            return self.home(me)
        came = {name: values[0] for name, values in parse_qs(address.query).items()}
        # The session must be the one that this browser was sent away with.
        if me["session"] is None or came.get("session") != me["session"]:
            return self.page("Not connected", "<p>This is not the connection that you began here. <a href='/'>Begin again</a></p>", 400)
        me["session"] = None
        if "error" in came:
            return self.page("Not connected", f"<p>Nothing was connected ({escape(came['error'])}). <a href='/'>Try again</a></p>", 400)
        try:
            complete(came["session"], came.get("handle", ""), me["user"])
        except Refused as refused:
            return self.refused(refused)
        return self.go("/")

    def do_POST(self):
        length = min(int(self.headers.get("Content-Length") or 0), 10_000)
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        if self.path == "/sign-in" and form.get("user"):
            # A real product asks for more than a name.
            cookie = secrets.token_urlsafe(32)
            SIGNED_IN[cookie] = {"user": form["user"][:100], "form": secrets.token_urlsafe(32), "session": None}
            return self.go("/", cookie)
        me = self.me()
        if self.path != "/connect" or me is None or not secrets.compare_digest(form.get("form", ""), me["form"]):
            return self.page("Not done", "<p>Open the page here and press the button again. <a href='/'>Go there</a></p>", 403)
        try:
            begun = begin(me["user"])
        except Refused as refused:
            return self.refused(refused)
        me["session"] = begun["id"]
        return self.go(begun["url"])

    def home(self, me):
        hidden = f"<input type='hidden' name='form' value='{me['form']}'>"
        if me["user"] not in CONNECTIONS:
            return self.page(f"Hello {me['user']}", f"<form method='post' action='/connect'>{hidden}<button>Connect GitLab</button></form>")
        try:
            rows = "".join(f"<li>{escape(one['path_with_namespace'])}</li>" for one in projects(me["user"]))
        except Refused as refused:
            if refused.code != "action_required":
                return self.refused(refused)
            again = f"<form method='post' action='/connect'>{hidden}<button>Reconnect GitLab</button></form>"
            return self.page("GitLab asks for you", f"<p>{escape(refused.detail)}</p>{again}")
        return self.page(f"Hello {me['user']}", f"<h2>Your projects</h2><ul>{rows}</ul>")

    def me(self):
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("product")
        return SIGNED_IN.get(cookie.value) if cookie else None

    def refused(self, refused):
        return self.page("That did not work", f"<p>{escape(refused.detail)} <code>{escape(refused.code)}</code></p><p><a href='/'>Back</a></p>", 502)

    def page(self, title, html, status=200):
        title = escape(title)
        body = f"<!doctype html><html lang='en'><title>{title}</title><h1>{title}</h1>{html}</html>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")  # the handle is in an address
        self.end_headers()
        self.wfile.write(body)

    def go(self, address, cookie=None):
        self.send_response(303)
        self.send_header("Location", address)
        if cookie:
            # Lax: the browser must bring it when it comes back from another site.
            self.send_header("Set-Cookie", f"product={cookie}; Path=/; HttpOnly; SameSite=Lax")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code="-", size="-"):
        print(self.command, urlsplit(self.path).path, code, flush=True)  # without the query, where the handle is


SIGN_IN = "<form method='post' action='/sign-in'><label>Name <input name='user' required></label> <button>Sign in</button></form>"

if __name__ == "__main__":
    print(f"The product is at {SITE}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Product).serve_forever()
