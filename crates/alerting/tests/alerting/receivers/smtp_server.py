"""An SMTP server with TLS that keeps every mail in a file. Prints its port; ends with its process."""

import asyncio
import itertools
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mode, first, cert, key, inbox = sys.argv[1:]
answers = iter([first] if first else [])
numbers = itertools.count()


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        answer = next(answers, None)
        if answer:
            return answer
        name = f"{inbox}/{next(numbers):04}"
        with open(f"{name}.tmp", "wb") as mail:
            mail.write(envelope.content)
        os.rename(f"{name}.tmp", f"{name}.eml")
        return "250 2.0.0 kept"


def login(server, session, envelope, mechanism, data):
    fine = data.login == b"pager" and data.password == b"secret"
    return AuthResult(success=fine, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
implicit = mode == "implicit"


def session():
    return SMTP(
        Inbox(),
        hostname="localhost",
        authenticator=login,
        auth_required=True,
        auth_require_tls=not implicit,
        tls_context=None if implicit else context,
        require_starttls=not implicit,
    )


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if implicit else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
