"""An OpenID provider for tests: discovery, keys, authorization and tokens, as a process of its own.

It behaves until it is told otherwise at /control, and it counts what it is asked. It verifies what a provider must:
the client's secret, the redirect URI, PKCE, and that a code is used once. Signatures are made by the `cryptography`
package, so that they are not checked by the code that made them.
"""

import base64
import hashlib
import hmac
import html
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair for one algorithm."""

    def __init__(self, algorithm, kid):
        self.algorithm, self.kid = algorithm, kid
        if algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm.startswith("ES"):
            self.private = ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1())
        else:
            self.private = rsa.generate_private_key(65537, 2048)

    def public(self):
        shown = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        public = self.private.public_key()
        if self.algorithm == "EdDSA":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {**shown, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        numbers = public.public_numbers()
        if self.algorithm.startswith("ES"):
            size = 32 if self.algorithm == "ES256" else 48
            curve = "P-256" if self.algorithm == "ES256" else "P-384"
            return {**shown, "kty": "EC", "crv": curve, "x": number(numbers.x, size), "y": number(numbers.y, size)}
        return {**shown, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}

    def pem(self):
        public = self.private.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, text):
        if self.algorithm == "EdDSA":
            return self.private.sign(text)
        digest = HASHES[self.algorithm[2:]]
        if self.algorithm.startswith("RS"):
            return self.private.sign(text, padding.PKCS1v15(), digest)
        if self.algorithm.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self.private.sign(text, pss, digest)
        size = 32 if self.algorithm == "ES256" else 48
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


class Provider:
    def __init__(self, issuer):
        self.issuer = issuer
        self.client = {"id": "mooring", "secret": "canary-client-secret+/%~:0123456789", "redirect_uri": ""}
        self.key = Key("RS256", "key-1")
        self.lock = threading.Lock()
        self.codes, self.counts, self.last = {}, {}, {}
        self.clock = 0
        self.reset()

    def reset(self):
        self.user = {"sub": "ada-1", "email": "ada@example.com", "email_verified": True, "name": "Ada"}
        self.claims, self.header, self.document = {}, {}, {}
        self.sign = "good"
        self.answers, self.denied, self.iss, self.login = {}, None, None, False

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def control(self, told):
        if told.pop("reset", False):
            self.reset()
        if algorithm := told.pop("new_key", None):
            self.key = Key(algorithm, "key-" + secrets.token_hex(4))
        for name, value in told.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def configuration(self):
        at = self.issuer
        document = {
            "issuer": at,
            "authorization_endpoint": at + "/authorize",
            "token_endpoint": at + "/token",
            "jwks_uri": at + "/keys",
            "userinfo_endpoint": at + "/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ALGORITHMS,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }
        return overlaid(document, self.document)

    def id_token(self, nonce):
        now = int(time.time()) + self.clock
        claims = {"iss": self.issuer, "aud": self.client["id"], "iat": now, "exp": now + 120, "nonce": nonce}
        claims = overlaid({**claims, **self.user}, shifted(self.claims, now))
        header = overlaid({"typ": "JWT", "alg": self.key.algorithm, "kid": self.key.kid}, self.header)
        if self.sign == "none":
            header["alg"] = "none"
        elif self.sign.startswith("hs256"):
            header["alg"] = "HS256"
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(self.signature(text.encode()))

    def signature(self, text):
        if self.sign == "none":
            return b""
        if self.sign == "hs256-public-key":
            return hmac.digest(self.key.pem(), text, "sha256")
        if self.sign == "hs256-client-secret":
            return hmac.digest(self.client["secret"].encode(), text, "sha256")
        if self.sign == "another-key":
            return Key(self.key.algorithm, self.key.kid).sign(text)
        return self.key.sign(text)

    def authorize(self, asked):
        """Where the browser goes after the person consented, or was refused."""
        assert asked["client_id"] == self.client["id"], "client_id"
        assert asked["redirect_uri"] == self.client["redirect_uri"], "redirect_uri"
        assert asked["response_type"] == "code" and "openid" in asked["scope"].split(), "response_type, scope"
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43, "PKCE"
        assert len(asked["state"]) >= 22 and len(asked["nonce"]) >= 22, "state, nonce"
        back = {"state": asked["state"]}
        if self.denied:
            back |= {"error": self.denied, "error_description": "canary-of-the-provider <script>alert(1)</script>"}
        else:
            code = "canary-code-" + secrets.token_urlsafe(24)
            self.codes[code] = asked
            back["code"] = code
        if self.iss:
            back["iss"] = self.iss
        return asked["redirect_uri"] + "?" + urlencode(back)

    def token(self, headers, form):
        method, client = credentials(headers, form)
        takes = self.configuration().get("token_endpoint_auth_methods_supported")
        if client != (self.client["id"], self.client["secret"]) or method not in takes:
            return 401, {"error": "invalid_client", "error_description": "canary-of-the-provider"}
        with self.lock:
            asked = self.codes.pop(form.get("code"), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        is_good = (
            asked
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == asked["redirect_uri"]
            and challenge == asked["code_challenge"]
        )
        if not is_good:
            return 400, {"error": "invalid_grant", "error_description": "canary-of-the-provider"}
        answer = {"access_token": "canary-access-" + secrets.token_urlsafe(24), "token_type": "Bearer", "expires_in": 60}
        answer["id_token"] = self.id_token(asked["nonce"])
        self.last = {**form, **answer, "nonce": asked["nonce"], "state": asked["state"], "method": method}
        return 200, answer


def overlaid(base, changes):
    """`null` takes away what was there."""
    both = {**base, **changes}
    return {name: value for name, value in both.items() if value is not None}


def shifted(claims, now):
    """`+60` and `-60` are seconds from now."""
    is_offset = lambda value: isinstance(value, str) and value[:1] in "+-" and value[1:].isdigit()
    return {name: now + int(value) if is_offset(value) else value for name, value in claims.items()}


def credentials(headers, form):
    authorization = headers.get("authorization", "")
    if authorization.startswith("Basic "):
        user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        return "client_secret_basic", (unquote_plus(user), unquote_plus(password))
    return "client_secret_post", (form.get("client_id"), form.get("client_secret"))


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Provider</title>
<h1>The provider</h1><form method="post" action="/realm/consent"><input type="hidden" name="to" value="{}">
<button>Continue as Ada</button></form>"""


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, body, kind="application/json", **headers):
        body = json.dumps(body).encode() if kind == "application/json" and not isinstance(body, str) else body.encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def told_otherwise(self, what):
        """Counts, and answers what it was told to answer there."""
        provider.count(what)
        answer = provider.answers.get(what)
        if answer is None:
            return False
        if answer.get("drop"):
            self.close_connection = True
        else:
            kind = answer.get("kind", "application/json")
            self.say(answer.get("status", 200), answer.get("body", ""), kind, **answer.get("headers", {}))
        return True

    def do_GET(self):
        path, asked = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if path == "/favicon.ico":
            return self.say(204, "", "text/plain")
        if path == "/counts":
            return self.say(200, provider.counts)
        if path == "/last":
            return self.say(200, provider.last)
        if path == "/realm/.well-known/openid-configuration":
            return self.told_otherwise("document") or self.say(200, provider.configuration())
        if path == "/realm/keys":
            return self.told_otherwise("keys") or self.say(200, {"keys": [provider.key.public()]})
        if path == "/realm/authorize":
            provider.count("authorize")
            to = provider.authorize(asked)
            if provider.login:
                return self.say(200, PAGE.format(html.escape(to)), "text/html; charset=utf-8")
            return self.say(302, "", "text/plain", location=to)
        provider.count("elsewhere")
        self.say(404, "nothing here", "text/plain")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path == "/control":
            provider.control(json.loads(body))
            return self.say(200, {"issuer": provider.issuer})
        form = dict(parse_qsl(body))
        if self.path == "/realm/consent":
            return self.say(302, "", "text/plain", location=form["to"])
        if self.path == "/realm/token":
            return self.told_otherwise("token") or self.say(*provider.token(self.headers, form))
        provider.count("elsewhere")
        self.say(404, "nothing here", "text/plain")


server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
server.daemon_threads = True
provider = Provider(f"http://127.0.0.1:{server.server_port}/realm")
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"origin": f"http://127.0.0.1:{server.server_port}"}), flush=True)
# Ends with the test, also when that is killed: its end of our standard input closes then.
sys.stdin.read()
