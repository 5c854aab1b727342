"""Requests of every kind that a server of `/realtime` meets, the honest and the crooked.

`PLAIN` are those that the front is to serve by itself; `ODD` it must leave to aiohttp, and both
must come out as if there were no front. Bodies are short: streams are cut at every position.
"""

import gzip
from urllib.parse import quote

from ocs.entrypoints.http.heads import LONGEST_HEAD

EVENT = b'{"record_type":"event_request","session_id":"%b","request_number":0,"trunk":"t","used_units":1}'
BODY = EVENT % b"s"
SBC = b'{"call":"s","seq":0,"from":"t","type":"event_request","used_units":1}'
ARRAY = b"[%b,%b]" % (EVENT % b"a", EVENT % b"b")


def request(
    *lines: bytes,
    body: bytes = BODY,
    start: bytes = b"POST /realtime HTTP/1.1",
    length: bool = True,
) -> bytes:
    """Write a request; `lines` are header lines without their ends, added as they are."""
    announced = (b"Content-Length: %d" % len(body),) if length else ()
    head = b"\r\n".join((start, b"Host: x", *lines, *announced))
    return head + b"\r\n\r\n" + body


def chunked(*lines: bytes, body: bytes = BODY, length: bool = False) -> bytes:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return request(b"Transfer-Encoding: chunked", *lines, body=chunks, length=length)


SMUGGLED = request(body=EVENT % b"smuggled")

PLAIN = {
    "as simple as can be": request(),
    "other case": request().replace(b"Content-Length", b"CONTENT-length").replace(b"Host", b"hOST"),
    "keep-alive asked for": request(b"Connection: keep-alive"),
    "two blanks": request(start=b"POST /realtime  HTTP/1.1"),
    "a source": request(start=b"POST /realtime?source=sbc HTTP/1.1", body=SBC),
    "a source by its other name": request(
        start=b"POST /realtime?file_type=s%62c HTTP/1.1", body=SBC
    ),
    "a source twice": request(start=b"POST /realtime?source=default&source=sbc HTTP/1.1", body=SBC),
    "a source by two names": request(
        start=b"POST /realtime?file_type=x&source=sbc HTTP/1.1", body=SBC
    ),
    "a source in a header": request(b"x-ocs-source: sbc", body=SBC),
    "a source in a header and in the query": request(
        b"X-OCS-Source: x", start=b"POST /realtime?source=sbc HTTP/1.1", body=SBC
    ),
    "a source that is not there": request(start=b"POST /realtime?source=nobody HTTP/1.1"),
    "a source that is empty": request(start=b"POST /realtime?source= HTTP/1.1"),
    "a source's own refusal": request(start=b"POST /realtime?source=sbc HTTP/1.1"),
    "a source's array": request(
        start=b"POST /realtime?source=sbc HTTP/1.1",
        body=b"[%b,%b]" % (SBC, SBC.replace(b'"s"', b'"r"')),
    ),
    "a source that the event names": request(body=b'{"file_type":"sbc","request":%b}' % SBC),
    "a form": request(body=b"file_type=sbc&request=" + SBC),
    "a form of nobody": request(body=b"file_type=nobody&request={}"),
    "an empty query": request(start=b"POST /realtime? HTTP/1.1"),
    "a number of its own": request(b"Idempotency-Key: k1"),
    "a tenant": request(b"X-OCS-Tenant: other"),
    "blanks around values": request(b"X:  \t a b \t ", b"Accept:*/*"),
    "bytes beyond ASCII in a value": request(b"X-Name: J\xc3\xbcrgen \xff"),
    "no body": request(body=b""),
    "no JSON": request(body=b"record_type=start"),
    "a body that looks like a request": request(body=SMUGGLED),
    "a body with a blank line": request(body=b"\r\n\r\n\r\n\r\n"),
    "an array": request(body=ARRAY),
    "an array after blanks": request(body=b" \n" + ARRAY),
    "an array of nothing": request(body=b"[]"),
}

ODD = {
    # --- Where does it end? ---
    "chunked": chunked(),
    "chunked and a length": chunked(length=True),
    "a length, and chunked after it": request(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED, length=False),
    "chunked, spelled oddly": chunked().replace(b"chunked", b"Chunked"),
    "chunked, unknown first": chunked().replace(b"chunked", b"xchunked"),
    "chunked with a blank before the colon": chunked().replace(b"Encoding:", b"Encoding :"),
    "chunked behind a tab": chunked().replace(b" chunked", b"\tchunked"),
    "chunked behind a vertical tab": chunked().replace(b" chunked", b"\x0bchunked"),
    "identity": request(b"Transfer-Encoding: identity"),
    "two lengths that differ": request(b"Content-Length: 5", body=b"hello" + SMUGGLED),
    "two lengths that agree": request(b"Content-Length: %d" % len(BODY)),
    "a list of lengths": request(b"Content-Length: 5, 5", body=b"hello", length=False),
    "a signed length": request(b"Content-Length: +5", body=b"hello", length=False),
    "a negative length": request(b"Content-Length: -1", body=b"", length=False),
    "a length in hexadecimal": request(b"Content-Length: 0x5", body=b"hello", length=False),
    "a length with an underscore": request(b"Content-Length: 1_0", body=b"0123456789", length=False),
    "an empty length": request(b"Content-Length:", body=b"", length=False),
    "a length beyond counting": request(b"Content-Length: 99999999999999999999999", length=False),
    "a length with a blank before the colon": request(b"Content-Length : 5", body=b"hello", length=False),
    "a length that is folded": request(b"Content-Length:\r\n 5", body=b"hello", length=False),
    "no length": request(length=False, body=b""),
    # --- What is a line? ---
    "folded": request(b"X: a\r\n b"),
    "a first line that is folded": request().replace(b"\r\nHost", b"\r\n Host"),
    "line feeds alone": request().replace(b"\r\n", b"\n"),
    "one line feed alone": request(b"X: a\nContent-Length: 5"),
    "a blank line of line feeds": request().replace(b"\r\n\r\n", b"\n\n"),
    "carriage returns alone": request().replace(b"\r\n", b"\r"),
    "one carriage return alone": request(b"X: a\rContent-Length: 5"),
    "no colon": request(b"X"),
    "no name": request(b": x"),
    "a blank in a name": request(b"X Y: x"),
    "a blank before the colon": request(b"X : x"),
    "a NUL in a value": request(b"X: a\0b"),
    "a NUL in a name": request(b"X\0: a"),
    "a name beyond ASCII": request(b"\xc3\xbc: a"),
    "an empty line first": b"\r\n" + request(),
    "many empty lines first": b"\r\n\r\n\r\n" + request(),
    # --- What is asked for? ---
    "HTTP/1.0": request(start=b"POST /realtime HTTP/1.0"),
    "HTTP/1.0 that stays": request(b"Connection: keep-alive", start=b"POST /realtime HTTP/1.0"),
    "HTTP/2": request(start=b"POST /realtime HTTP/2.0"),
    "HTTP/1.2": request(start=b"POST /realtime HTTP/1.2"),
    "no version": request(start=b"POST /realtime"),
    "a blank at the end": request(start=b"POST /realtime HTTP/1.1 "),
    "a small method": request(start=b"post /realtime HTTP/1.1"),
    "another method": request(start=b"PUT /realtime HTTP/1.1"),
    "a longer method": request(start=b"POSTS /realtime HTTP/1.1"),
    "another path": request(start=b"POST /realtimes HTTP/1.1"),
    "an event in the query": request(start=b"POST /realtime?file_type=sbc&request=%b HTTP/1.1" % quote(SBC).encode(), body=b""),
    "an event in the query and in the body": request(start=b"POST /realtime?request={} HTTP/1.1"),
    "another query": request(start=b"POST /realtime?source=sbc&x=%00 HTTP/1.1", body=SBC),
    "an event that is fetched": b"GET /realtime?file_type=sbc&request=%b HTTP/1.1\r\nHost: x\r\n\r\n" % quote(SBC).encode(),
    "nothing that is fetched": b"GET /realtime HTTP/1.1\r\nHost: x\r\n\r\n",
    "a part of the page": request(start=b"POST /realtime#here HTTP/1.1"),
    "a whole address": request(start=b"POST http://x/realtime HTTP/1.1"),
    "a probe": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "all of the server": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    # --- On what terms? ---
    "the last one": request(b"Connection: close"),
    "the last one among others": request(b"Connection: keep-alive, close"),
    "asks first": request(b"Expect: 100-continue"),
    "expects something else": request(b"Expect: a miracle"),
    "another protocol": request(b"Connection: Upgrade", b"Upgrade: websocket"),
    "HTTP/2 from here": request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
    "compressed": request(b"Content-Encoding: gzip", body=gzip.compress(BODY, mtime=0)),
    "not compressed, it says": request(b"Content-Encoding: identity"),
    "no host": request().replace(b"Host: x\r\n", b""),
    "two hosts": request(b"Host: y"),
    "a tenant of somebody else": request(b"X-OCS-Tenant: foreign"),
    "a long head": request(b"Cookie: " + b"a" * LONGEST_HEAD),
    "a head longer than aiohttp's": request(b"Cookie: " + b"a" * 9_000),
    "a hundred lines": request(*[b"a: b"] * 150),
    "a body that is too long for an event": request(body=b"{" + b" " * 700),
    "a body that is too long for all": request(body=b"[" + b" " * 1_500),
}  # fmt: skip

ALL = PLAIN | ODD
