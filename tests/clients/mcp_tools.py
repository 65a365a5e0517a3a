#!/usr/bin/env python3
"""The mcp package, in both revisions: the stateless one, and the one with a handshake."""
from client import *

need("mcp==2.3.0")
import asyncio, base64

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client


async def use(s, mode):
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {s.key}"}, timeout=60) as http:
        async with Client(streamable_http_client(s.url + "/mcp", http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            check([t.name for t in tools.tools] == ["generate", "job", "cancel", "search"], f"{mode}: tools", str(tools)[:300])
            made = await client.call_tool("generate", {"prompt": f"a lake {mode}", "width": 64, "height": 64, "steps": 3})
            kinds = [c.type for c in made.content]
            check(not made.is_error and kinds == ["text", "image", "resource_link"] and base64.b64decode(made.content[1].data)[:4] == b"RIFF", f"{mode}: generate", str(made)[:300])
            with __import__("urllib.request").request.urlopen(made.content[2].uri) as r:
                check(r.read() == base64.b64decode(made.content[1].data), f"{mode}: its link needs no key")
            id = made.structured_content["id"]
            again = await client.call_tool("job", {"id": id})
            check([c.type for c in again.content] == kinds and again.structured_content["state"] == "done", f"{mode}: job")
            for _ in range(50):  # the database shows a job a moment after its end
                found = await client.call_tool("search", {"words": "lake"})
                if id in found.content[0].text:
                    break
                await asyncio.sleep(0.1)
            check(id in found.content[0].text, f"{mode}: search", str(found)[:300])
            late = await client.call_tool("cancel", {"id": id})
            check(late.is_error and "ended" in late.content[0].text, f"{mode}: cancel, too late", str(late)[:300])
            wrong = await client.call_tool("generate", {"prompt": "x", "steps": 0})
            check(wrong.is_error and "steps" in wrong.content[0].text, f"{mode}: a mistake is told to the model", str(wrong)[:300])
            try:
                await client.call_tool("nothing", {})
                check(False, f"{mode}: a tool that is none")
            except Exception as e:
                check("no such tool" in str(e), f"{mode}: a tool that is none", str(e))

with Server() as s:
    for mode in ["auto", "legacy", "2026-07-28"]:
        asyncio.run(use(s, mode))
    bearer = {"Authorization": f"Bearer {s.key}", "Content-Type": "application/json"}
    for body, status in [(b"[]", 400), (b'{"jsonrpc":"2.0","id":1}', 400), (b'{"jsonrpc":"2.0","id":1,"method":"x"}', 404), (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', 202), (b"x", 400)]:
        got = s.g.ask("POST", "/mcp", body, bearer)
        check(got[0] == status, f"{body}: {status}", str(got))
    got = s.g.ask("POST", "/mcp", b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {**bearer, "MCP-Protocol-Version": "1999-01-01"})
    check(got[2]["error"]["code"] == -32022 and "2026-07-28" in got[2]["error"]["data"]["supported"], "a revision that nobody speaks", str(got))
finish()
