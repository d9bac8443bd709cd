"""The web is searched through any JSON API, and a search can be had again as it was."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.running.errors import UserError
from tasks.tools.fetching import Limits
from tasks.tools.search import Hit
from tasks.tools.web import PRESETS, WebSearch, web_api

QUICK = Limits(attempts=2, seconds=5, first_wait=0.01, longest_wait=0.02)
TEA = Hit("http://tea/", "Tea", "It grows in May.", score=2.5)
# what each API answers, as its documentation shows it
ANSWERS = {
    "searxng": {"query": "tea", "number_of_results": 0, "answers": [], "results": [
        {"url": "http://tea/", "title": "Tea", "content": "It grows in May.", "engine": "a",
         "score": 2.5, "category": "general"}]},
    "serper": {"searchParameters": {"q": "tea", "type": "search"}, "organic": [
        {"title": "Tea", "link": "http://tea/", "snippet": "It grows in May.", "position": 1}]},
    "tavily": {"query": "tea", "answer": None, "images": [], "response_time": 1.2, "results": [
        {"title": "Tea", "url": "http://tea/", "content": "It grows in May.", "score": 2.5,
         "raw_content": None}]},
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    return tmp_path / "searches.jsonl"


@pytest.fixture
def api(httpserver):
    return web_api("searxng", address=httpserver.url_for("/search"))


def test_each_preset_is_asked_as_its_api_wants_it(httpserver, monkeypatch, file):
    monkeypatch.setenv("SERPER_API_KEY", " s-1\n")
    monkeypatch.setenv("TAVILY_API_KEY", "t-1")
    expected = {
        "searxng": {"method": "GET", "query_string": {"q": "tea", "format": "json"}},
        "serper": {
            "method": "POST", "json": {"q": "tea", "num": 3}, "headers": {"X-API-KEY": "s-1"}
        },
        "tavily": {
            "method": "POST", "json": {"query": "tea", "max_results": 3},
            "headers": {"Authorization": "Bearer t-1"},
        },
    }  # fmt: skip
    assert expected.keys() == PRESETS.keys() == ANSWERS.keys()
    for name, told in expected.items():
        httpserver.expect_request(f"/{name}", **told).respond_with_json(ANSWERS[name])
        api = web_api(name, address=httpserver.url_for(f"/{name}"))
        with WebSearch(api, file, "first", QUICK) as web:
            [hit] = web.search("tea", 3)
        assert (hit.id, hit.title, hit.text) == (TEA.id, TEA.title, TEA.text)
        assert hit.score == (1.0 if name == "serper" else 2.5)
    assert "s-1" not in file.read_text() and "t-1" not in file.read_text()


def test_an_api_of_ones_own_is_described_by_paths(httpserver, file):
    answer = {"web": {"found": [{"doc": {"id": "7", "name": "Tea"}, "body": "It grows."}]}}
    httpserver.expect_request("/find", query_string={"text": "tea", "n": "2", "lang": "de"}
                              ).respond_with_json(answer)  # fmt: skip
    api = web_api(
        address=httpserver.url_for("/find"), query="text", number="n", fixed={"lang": "de"},
        hits="web.found", id="doc.id", title="doc.name", text="body",
    )  # fmt: skip
    with WebSearch(api, file, "first", QUICK) as web:
        assert web.search("tea", 2) == [Hit("7", "Tea", "It grows.", score=1.0)]


def test_a_recording_gives_the_same_hits_without_a_server_or_a_key(httpserver, monkeypatch, file):
    httpserver.expect_request("/s").respond_with_json(ANSWERS["serper"])
    monkeypatch.setenv("SERPER_API_KEY", "s-1")
    api = web_api("serper", address=httpserver.url_for("/s"))
    with WebSearch(api, file, "first", QUICK) as web:
        found = web.search("tea", 3)
        assert web.search("tea", 3) == found and web.counts == {"asked": 1, "replayed": 1}
    httpserver.clear()
    monkeypatch.delenv("SERPER_API_KEY")
    with WebSearch(api, file) as web:
        web.need(["tea", " "], 3)
        assert web.search("tea", 3) == found and web.counts == {"replayed": 1}
    assert httpserver.log == []


def test_a_replay_names_all_missing_queries_at_once(httpserver, api, file):
    httpserver.expect_request("/search").respond_with_json(ANSWERS["searxng"])
    with WebSearch(api, file, "first", QUICK) as web:
        web.search("tea", 3)
    with pytest.raises(UserError) as refused, WebSearch(api, file) as web:
        found = [web.search(query, 3) for query in ("coffee", "tea", "milk", "coffee")]
        assert [len(some) for some in found] == [0, 1, 0, 0]
    assert refused.value.what.startswith("2 queries") and "'coffee'; 'milk'" in refused.value.why
    with WebSearch(api, file) as web, pytest.raises(UserError, match="'coffee'; 'milk'"):
        web.need(["coffee", "tea", "milk"], 3)
    with pytest.raises(ZeroDivisionError), WebSearch(api, file) as web:
        web.search("coffee", 3)
        _ = 1 / 0  # what went wrong is told, not what is missing because of it


def test_a_replay_without_a_recording_is_refused_before_anything_is_asked(api, file):
    with pytest.raises(UserError, match="There is no recording"):
        WebSearch(api, file)


def test_never_asks_anew_and_what_it_finds_counts_from_then_on(httpserver, api, file):
    titles = iter(["old", "new"])
    httpserver.expect_request("/search").respond_with_handler(
        lambda _: _json({"results": [{"url": "u", "title": next(titles), "content": "c"}]})
    )
    for replay, title in (("first", "old"), ("first", "old"), ("never", "new"), ("only", "new")):
        with WebSearch(api, file, replay, QUICK) as web:
            assert web.search("tea", 1)[0].title == title


def _json(value):
    from werkzeug import Response

    return Response(json.dumps(value), content_type="application/json")


def test_a_failure_is_no_result_recorded_and_asked_again_by_first(httpserver, api, file):
    httpserver.expect_request("/search").respond_with_data("oh", 500)
    with WebSearch(api, file, "first", QUICK) as web:
        assert web.search("tea", 3) == []
        assert web.counts == {"asked": 1, "the server answers 500": 1}
    with WebSearch(api, file) as web:  # the replay has the same hole, and it is no missing query
        assert web.search("tea", 3) == []
        assert web.counts == {"replayed": 1, "the server answers 500": 1}
    httpserver.clear()
    httpserver.expect_request("/search").respond_with_json(ANSWERS["searxng"])
    with WebSearch(api, file, "first", QUICK) as web:
        assert web.search("tea", 3) == [TEA]
    with WebSearch(api, file) as web:
        assert web.search("tea", 3) == [TEA]


def test_many_threads_that_ask_for_the_same_send_one_request(httpserver, api, file):
    httpserver.expect_request("/search").respond_with_json(ANSWERS["searxng"])
    with WebSearch(api, file, "first", QUICK) as web, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: web.search(f"tea {n % 3}", 3), range(24)))
        assert web.counts == {"asked": 3, "replayed": 21}
    assert found == [[TEA]] * 24 and len(httpserver.log) == 3


ROWS = {
    "no list": {"results": {"0": "tea"}},
    "nothing": {},
    "null": {"results": None},
    "odd rows": {"results": [None, 7, "tea", [], {}, {"title": 5}, {"content": ["tea"]}]},
    "half a surrogate": {"results": [{"title": "\ud800", "content": "\udfff"}]},
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_are_no_hits_are_left_out(kind):
    assert web_api("searxng").found(ROWS[kind]) == []


@pytest.mark.parametrize("score", ["9", None, True, 10**400, float("nan"), float("inf"), [1]])
def test_a_score_that_is_none_is_told_by_the_place(score):
    rows = [{"title": "a", "score": score}, {"title": "b", "score": 7}]
    hits = web_api("tavily").found(json.loads(json.dumps({"results": rows})))
    assert [hit.score for hit in hits] == [1.0, 7.0]


def test_what_is_too_long_is_cut():
    row = {"url": "u" * 9999, "title": "t" * 10**6, "content": "c" * 10**6}
    [hit] = web_api("searxng").found({"results": [row]})
    assert len(hit.id) == 2000 and len(hit.title) == len(hit.text) == 20_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(st.sampled_from(["results", "title", "content", "url", "score"]), some)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["results", "other"]), JSON))
def test_no_answer_raises(answer):
    for hit in web_api("searxng").found(answer):
        assert (hit.title or hit.text) and isinstance(hit.score, float)


@pytest.mark.parametrize("query", ["", " \n", "a" * 2001, "\ud800"])
def test_what_is_no_query_is_not_sent(httpserver, api, file, query):
    with WebSearch(api, file, "first", QUICK) as web:
        assert web.search(query, 3) == web.search("tea", 0) == []
    assert httpserver.log == [] and not file.exists()


WRONG = {
    "address": [{"address": "ftp://a/"}, {"address": "file:///etc/passwd"}, {"address": "a/b"},
                {"address": "http://user:secret@a/"}, {"address": "http://"}, {}],
    "method": [{"address": "http://a/", "method": "PUT"}],
    "header": [{"address": "http://a/", "header": "X-API-KEY: secret"},
               {"address": "http://a/", "header": "X\r\nHost: {key}"}],
    "colour": [{"address": "http://a/", "colour": "red"}],
}  # fmt: skip


@pytest.mark.parametrize(("field", "told"), [(f, t) for f, some in WRONG.items() for t in some])
def test_a_setting_that_is_wrong_is_named(field, told):
    with pytest.raises(UserError, match=f"{field}: ") as refused:
        web_api(**told)
    assert "secret" not in str(refused.value)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(UserError) as refused:
        web_api("serper", address="no", method="PUT", colour="red")
    assert all(name in refused.value.why for name in ("address: ", "method: ", "colour: "))
    with pytest.raises(UserError, match="searxng, serper, tavily"):
        web_api("bing")


@pytest.mark.parametrize(
    ("value", "why"), [(None, "has no key"), (" ", "has no key"), ("ké", "no key has"),
                       ("a\nb", "no key has")],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_before_anything_is_asked(monkeypatch, file, value, why):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SERPER_API_KEY", value)
    with pytest.raises(UserError, match=why):
        WebSearch(web_api("serper"), file, "first")
