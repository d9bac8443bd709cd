"""Whatever a server does, a query ends within its bounds and is no result then."""

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug import Response

from tasks.running.errors import UserError
from tasks.tools.fetching import Fetcher, Limits, NoAnswer, Request
from tests.tasks.tools.bad_servers import raw_server  # noqa: F401

TEA = {"results": [{"url": "http://tea/", "title": "Tea", "content": "It grows in May."}]}
QUICK = Limits(attempts=3, seconds=0.5, first_wait=0.01, longest_wait=0.05, bytes=20_000)


def fetch(address: str, limits: Limits = QUICK, method="GET", **told) -> dict:
    with Fetcher(limits) as fetcher:
        return fetcher.fetch(Request(method, address, told))


def why(address: str, limits: Limits = QUICK) -> str:
    with pytest.raises(NoAnswer) as failed:
        fetch(address, limits)
    return failed.value.why


def test_a_query_is_sent_in_the_address_or_as_json(httpserver):
    told = {"q": "tea & <b>", "n": "2", "x": "1"}
    httpserver.expect_request("/a", query_string=told).respond_with_json(TEA)
    httpserver.expect_request("/b", "POST", json={"q": "tea", "n": 2}).respond_with_json(TEA)
    assert fetch(httpserver.url_for("/a?x=1"), q="tea & <b>", n=2) == TEA
    assert fetch(httpserver.url_for("/b"), method="POST", q="tea", n=2) == TEA


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_busy_server_is_asked_again_and_its_answer_taken(httpserver, status):
    httpserver.expect_ordered_request("/s").respond_with_data("busy", status=status)
    httpserver.expect_ordered_request("/s").respond_with_data("busy", status=status)
    httpserver.expect_ordered_request("/s").respond_with_json(TEA)
    assert fetch(httpserver.url_for("/s")) == TEA and len(httpserver.log) == 3


BAD = {
    "the server answers 429": Response("slow down", 429, {"Retry-After": "9999"}),
    "the server answers 500": Response("oh", 500),
    "the server answers 503": Response("oh", 503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    "the answer is not JSON": Response("<html>search</html>", 200, content_type="text/html"),
    "the answer is not a JSON object": Response("[1, 2]", 200),
    "the answer is longer than 20,000 bytes": Response(b"[" * 20_001, 200),
    "the server sends elsewhere (302)": Response("", 302, {"Location": "http://127.0.0.1:1/"}),
    "the server sends elsewhere (308)": Response("", 308, {"Location": "file:///etc/passwd"}),
    "the answer is compressed, which was not asked for": Response(
        gzip.compress(b" " * 10**6), 200, {"Content-Encoding": "gzip"}),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_answer_is_asked_for_again_and_then_no_result(httpserver, reason):
    httpserver.expect_request("/s").respond_with_response(BAD[reason])
    began = time.monotonic()
    assert why(httpserver.url_for("/s")) == reason
    assert len(httpserver.log) == QUICK.attempts and time.monotonic() - began < 3


@pytest.mark.parametrize(
    "body", ['{"results": [', "", "[" * 19_000, '{"a":' * 4000, b'{"a": "\xff"}', "9" * 9999]
)
def test_json_that_is_cut_deep_or_none_is_no_result(httpserver, body):
    httpserver.expect_request("/s").respond_with_data(body, content_type="application/json")
    assert why(httpserver.url_for("/s")) == "the answer is not JSON"


@pytest.mark.parametrize("status", [400, 404, 405, 422, 432])
def test_what_would_be_refused_another_time_is_asked_once(httpserver, status):
    httpserver.expect_request("/s").respond_with_data("no", status=status)
    assert why(httpserver.url_for("/s")) == f"the server answers {status}"
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in_is_an_error_that_names_the_key(httpserver, status):
    httpserver.expect_request("/s").respond_with_data("who are you", status=status)
    request = Request("GET", httpserver.url_for("/s"))
    wrong_key = {"X-API-KEY": "secret"}
    with (
        Fetcher(QUICK, wrong_key, "TEA_KEY") as fetcher,
        pytest.raises(UserError, match="correct TEA_KEY") as refused,
    ):
        fetcher.fetch(request)
    assert httpserver.log[0][0].headers["X-API-KEY"] == "secret"
    assert "secret" not in str(refused.value) and len(httpserver.log) == 1


@pytest.mark.parametrize("where", ["other host", "other scheme", "same host"])
def test_no_redirect_is_followed_and_the_key_goes_nowhere_else(httpserver, raw_server, where):
    visits: list[bytes] = []
    other = raw_server(lambda connection: visits.append(b"seen"))
    to = {
        "other host": other, "other scheme": other.replace("http:", "https:"),
        "same host": httpserver.url_for("/t"),
    }  # fmt: skip
    httpserver.expect_request("/s").respond_with_data("", 302, {"Location": to[where]})
    httpserver.expect_request("/t").respond_with_json(TEA)
    assert why(httpserver.url_for("/s")) == "the server sends elsewhere (302)"
    assert visits == [] and {request.path for request, _ in httpserver.log} == {"/s"}


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def drip(connection, piece: bytes, pause: float) -> None:
    while True:
        connection.sendall(piece)
        time.sleep(pause)


ENDLESS = {
    "silent": lambda c: time.sleep(5),
    "dripping headers": lambda c: (c.sendall(HEAD), drip(c, b"X-A: b\r\n", 0.05)),
    "dripping body": lambda c: (
        c.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), drip(c, b"1\r\n[\r\n", 0.05)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_server_that_takes_its_time_is_left_when_the_time_is_up(raw_server, kind):
    began = time.monotonic()
    limits = Limits(attempts=2, seconds=0.4, first_wait=0.01)
    assert why(raw_server(ENDLESS[kind]), limits) == "no answer within 0.4 s"
    assert time.monotonic() - began < 2.5


def test_endless_json_is_left_when_it_is_too_long(raw_server):
    def endless(connection) -> None:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n" + b'{"results": [')
        drip(connection, b"1," * 2000, 0)

    assert why(raw_server(endless)) == "the answer is longer than 20,000 bytes"


BROKEN = {
    "cut body": HEAD + b"Content-Length: 500\r\n\r\n" + b'{"results": []}',
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "endless headers": HEAD + b"X-A: " + b"b" * 300_000,
    "wrong chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_http_is_no_result(raw_server, kind):
    address = raw_server(lambda connection: connection.sendall(BROKEN[kind]))
    assert why(address).startswith("the server is not reached (")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "http://nothing.invalid/"])
def test_a_server_that_is_not_there_is_no_result(address):
    assert why(address).startswith(("the server is not reached (", "no answer within"))


@settings(max_examples=50)
@given(body=st.binary(max_size=200), status=st.sampled_from([200, 204, 206, 302, 304, 404, 500]))
def test_no_answer_raises_anything_else(make_httpserver, fetcher, body, status):
    make_httpserver.clear()
    make_httpserver.expect_request("/s").respond_with_response(Response(body, status))
    try:
        found = fetcher.fetch(Request("GET", make_httpserver.url_for("/s")))
        assert isinstance(found, dict) and status == 200
    except NoAnswer as failed:
        assert failed.why


@pytest.fixture(scope="module")
def fetcher():
    with Fetcher(Limits(attempts=1, seconds=5)) as fetcher:
        yield fetcher


def test_a_pace_is_kept_by_all_threads_together(httpserver):
    httpserver.expect_request("/s").respond_with_json(TEA)
    requests = [Request("GET", httpserver.url_for("/s"), {"n": n}) for n in range(6)]
    with Fetcher(Limits(per_minute=600)) as fetcher, ThreadPoolExecutor(6) as pool:
        began = time.monotonic()
        assert list(pool.map(fetcher.fetch, requests)) == [TEA] * 6
    assert time.monotonic() - began > 0.45  # five times a tenth of a second, less what is rounded


def test_a_server_of_this_machine_is_asked_without_a_proxy(httpserver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    httpserver.expect_request("/s").respond_with_json(TEA)
    assert fetch(httpserver.url_for("/s")) == TEA


def test_equal_requests_have_one_key_and_others_another():
    told = {"q": "tea", "n": 2}
    one = Request("GET", "http://a/", told)
    assert one.key == Request("GET", "http://a/", dict(reversed(told.items()))).key
    others = [
        replace(one, method="POST"), replace(one, address="http://b/"),
        replace(one, parameters=told | {"n": 3}), replace(one, parameters=told | {"q": "Tea"}),
    ]  # fmt: skip
    assert len({one.key, *(other.key for other in others)}) == 5
