"""An index of pages on Qdrant: for more pages than one machine searches.

>>> client = connect("http://search.example.org:6333")                             # doctest: +SKIP
>>> write_collection(index, client, "pages")                                       # doctest: +SKIP
>>> search_collection(client, "pages", [question], 5)[0][0].page                   # doctest: +SKIP
'sales.pdf#3'

A page is a point with two vectors: `vectors`, all of them as a multivector compared by MaxSim, and
`mean`, their mean with an HNSW graph, which proposes the pages whose MaxSim is computed. The key of
a server that asks for one is read from QDRANT_API_KEY.
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException
from torch import Tensor

from tasks.retrieval.index import Entry, PageIndex
from tasks.retrieval.scoring import Found
from tasks.running.errors import UserError

KEY = "QDRANT_API_KEY"
VECTORS, MEAN = "vectors", "mean"
AT_ONCE = 64  # pages of a request
PROPOSED = 20  # times as many pages as are wanted are proposed by their means


def connect(url: str, timeout: int = 30) -> QdrantClient:
    """Return a client of a server."""
    return QdrantClient(url=url, api_key=os.environ.get(KEY), timeout=timeout)


def write_collection(index: PageIndex, client: QdrantClient, name: str) -> int:
    """Write an index as a collection, in place of an older one, and return its pages.

    Under another name first: whoever searches meanwhile finds the older one, whole.

    Raises:
        UserError: The server is not there, or refuses.
    """
    with _answering():
        fresh = f"{name}-{uuid.uuid4().hex[:8]}"
        client.create_collection(fresh, vectors_config=vector_settings(index.made.width))
        try:
            points = points_of(index)
            while some := list(islice(points, AT_ONCE)):
                client.upsert(fresh, [models.PointStruct(**point) for point in some], wait=True)
        except BaseException:
            client.delete_collection(fresh)
            raise
        old = [a.collection_name for a in client.get_aliases().aliases if a.alias_name == name]
        client.update_collection_aliases([
            *(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
              for _ in old),
            models.CreateAliasOperation(create_alias=models.CreateAlias(
                collection_name=fresh, alias_name=name)),
        ])  # fmt: skip
        for collection in old:
            client.delete_collection(collection)
    return len(index)


def search_collection(
    client: QdrantClient, name: str, questions: Sequence[Tensor], most: int
) -> list[list[Found]]:
    """Return the best pages for each question, the best first.

    Args:
        questions: The vectors of each, [vectors, width].

    Raises:
        UserError: The server or the collection is not there, or its vectors are of another width.
    """
    found = []
    with _answering():
        for question in questions:
            words = question.float()
            mean = torch.nn.functional.normalize(words.mean(0), dim=0)
            response = client.query_points(
                name, query=words.tolist(), using=VECTORS, limit=most,
                prefetch=models.Prefetch(query=mean.tolist(), using=MEAN, limit=PROPOSED * most),
            )  # fmt: skip
            found.append([Found(p.payload["page"], p.score) for p in response.points])
    return found


def vector_settings(width: int) -> dict[str, models.VectorParams]:
    """Return what a collection's vectors are."""
    return {
        VECTORS: models.VectorParams(
            size=width, distance=models.Distance.DOT, datatype=models.Datatype.FLOAT16,
            on_disk=True, hnsw_config=models.HnswConfigDiff(m=0),  # compared, never walked
            multivector_config=models.MultiVectorConfig(
                comparator=models.MultiVectorComparator.MAX_SIM),
        ),
        MEAN: models.VectorParams(size=width, distance=models.Distance.DOT),
    }  # fmt: skip


def points_of(index: PageIndex) -> Iterator[dict[str, Any]]:
    """Yield each page as a point: `id`, `vector`, `payload`."""
    for entry in index.entries:
        rows = index.vectors(entry).float()
        mean = torch.nn.functional.normalize(rows.mean(0), dim=0)
        yield {
            "id": _name(entry),
            "vector": {VECTORS: rows.tolist(), MEAN: mean.tolist()},
            "payload": {"page": entry.id, "document": entry.document, "number": entry.number},
        }


def _name(entry: Entry) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, entry.id))


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what a server does not answer, or refuses, into an error of ours."""
    try:
        yield
    except (ApiException, ValueError, OSError) as error:
        told = str(error).strip().splitlines() or [""]
        raise UserError(
            "Qdrant did not do it",
            f"{type(error).__name__}: {told[0]}",
            f"look whether the server runs and has the collection; its key is read from {KEY}",
        ) from None
