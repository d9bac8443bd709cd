"""An index on Qdrant: its local mode, its engine in this process, and a server if one is named."""

import os

import pytest
import qdrant_edge as edge
from qdrant_client import QdrantClient

from tasks.retrieval.qdrant import (
    MEAN,
    VECTORS,
    connect,
    points_of,
    search_collection,
    write_collection,
)
from tasks.retrieval.scoring import search
from tasks.running.errors import UserError
from tests.tasks.retrieval.drawn import WIDTH, asked_about, drawn_index

SERVER = "QDRANT_URL"


@pytest.fixture(params=["local", "server"])
def client(request):
    if request.param == "local":
        return QdrantClient(":memory:")
    if SERVER not in os.environ:
        pytest.skip(f"{SERVER} names no server")
    return connect(os.environ[SERVER])


def agree(exact, found):
    for ours, theirs in zip(exact, found, strict=True):
        assert [one.page for one in ours] == [one.page for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert abs(one.score - other.score) < 1e-3


def test_a_collection_finds_the_pages_of_the_index(tmp_path, client):
    index = drawn_index(tmp_path, 60)
    assert write_collection(index, client, "pages") == 60
    questions = asked_about(index, 5)
    # three pages are wanted and sixty proposed: all of them, so that the order is exact
    agree(search(index, questions, 3), search_collection(client, "pages", questions, 3))


def test_a_collection_is_replaced_as_a_whole(tmp_path, client):
    index = drawn_index(tmp_path, 30)
    write_collection(index, client, "pages")
    index.delete("doc0.pdf")
    write_collection(index, client, "pages")
    found = search_collection(client, "pages", asked_about(index, 2), 20)
    assert all(not one.page.startswith("doc0.pdf#") for some in found for one in some)
    mine = [c.name for c in client.get_collections().collections if c.name.startswith("pages-")]
    assert len(mine) == 1


def test_its_engine_gives_the_same_scores(tmp_path):
    index = drawn_index(tmp_path / "index", 60)
    (tmp_path / "shard").mkdir()
    dot = edge.Distance.Dot
    shard = edge.EdgeShard.create(str(tmp_path / "shard"), edge.EdgeConfig(vectors={
        VECTORS: edge.EdgeVectorParams(
            WIDTH, dot, datatype=edge.VectorStorageDatatype.Float16,
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)),
        MEAN: edge.EdgeVectorParams(WIDTH, dot),
    }))  # fmt: skip
    points = [edge.Point(**point) for point in points_of(index)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    for question in asked_about(index, 5):
        request = edge.QueryRequest(
            5, query=edge.Query.Nearest(question.tolist(), using=VECTORS), with_payload=True
        )
        theirs = [(one.payload["page"], one.score) for one in shard.query(request)]
        [ours] = search(index, [question], 5)
        assert [one.page for one in ours] == [page for page, _ in theirs]
        assert all(
            abs(one.score - score) < 1e-3 for one, (_, score) in zip(ours, theirs, strict=True)
        )
    shard.close()


def test_what_a_server_does_not_do_is_said(tmp_path):
    index = drawn_index(tmp_path, 5)
    with pytest.raises(UserError, match="Qdrant did not do it"):
        write_collection(index, connect("http://127.0.0.1:9"), "pages")
    with pytest.raises(UserError, match="no_such"):
        search_collection(QdrantClient(":memory:"), "no_such", asked_about(index, 1), 3)
