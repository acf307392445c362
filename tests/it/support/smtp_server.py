"""A mail server for tests: aiosmtpd as a process of its own, told by arguments how to behave.

Prints one line of JSON for each thing that happens: where it listens, each mail that it took, and every user and
password that it was shown, so that a test can tell what travelled in the clear.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

# What it warns of is what the tests are about.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


def say(what, **more):
    print(json.dumps({"event": what, **more}), flush=True)


def parts_of(content):
    """A mail as a mail program reads it."""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    return {"headers": {name.lower(): str(value) for name, value in mail.items()}, "parts": parts}


class Mailbox:
    """Takes mail, or answers what it was told to answer."""

    def __init__(self, options):
        self.options = options

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        say("receiver", address=address)
        if self.options.refuse and (self.options.refuse_only in (None, address)):
            return self.options.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say(
            "mail",
            sender=envelope.mail_from,
            receivers=envelope.rcpt_tos,
            encrypted=session.ssl is not None or self.options.tls == "start",
            signed_in=bool(session.authenticated),
            raw=envelope.content.decode("ascii"),
            **parts_of(envelope.content),
        )
        return "250 taken"


def authenticator(options):
    def judge(server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        encrypted = session.ssl is not None or options.tls == "start"
        say("sign_in", user=user, password=password, encrypted=encrypted)
        return AuthResult(success=(user, password) == (options.user, options.password), handled=False)

    return judge


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=["never", "starttls", "start"], default="never")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--refuse", help="the answer to a receiver")
    parser.add_argument("--refuse-only", help="the one receiver that is refused")
    options = parser.parse_args()

    context = None
    if options.tls != "never":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    loop = asyncio.get_running_loop()

    def conversation():
        return SMTP(
            Mailbox(options),
            hostname="mail.test",
            tls_context=context if options.tls == "starttls" else None,
            authenticator=authenticator(options) if options.user else None,
            auth_required=bool(options.user),
            auth_exclude_mechanism=[] if options.user else ["LOGIN", "PLAIN"],
            auth_require_tls=options.tls == "starttls",
            loop=loop,
        )

    server = await loop.create_server(
        conversation, "127.0.0.1", 0, ssl=context if options.tls == "start" else None
    )
    say("listening", port=server.sockets[0].getsockname()[1])
    # Ends with the test, also when that is killed: its end of our standard input closes then.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
