"""ScaleCap: captions that get richer with their budget, and say only what the model has seen.

Follows arXiv 2506.19848 in strict semantics: draft a caption of every picture, keep the sentences
that the picture itself makes likelier, ask back about every object in them, and write captions for
every budget of the same answers; then let the captions stand in for their pictures. Run it with
`python -m flows.caption --drafts.data my_pictures`, or from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.caption_summary import caption_scores, print_caption_summary  # noqa: E402
from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from tasks.settings import CaptionSettings  # noqa: E402

STAGES = ("drafts", "objects", "captions", "caption_answers", "caption_page")
CHAIN = Chain(STAGES, page="caption_page/index.html", scores=caption_scores)


@flow(
    name="caption",
    flow_run_name=named("{settings.drafts.captioner} {settings.drafts.captioned} pictures"),
)
def caption(settings: CaptionSettings) -> dict[str, str] | State:
    """Caption pictures for every budget, and say what the captions are worth (ScaleCap).

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(caption, CaptionSettings, print_caption_summary)
